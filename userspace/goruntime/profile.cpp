// SPDX-License-Identifier: Apache-2.0
#include "goruntime/profile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "goruntime/words.h"
#include "remote/block_memory.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kDefaultRate = 512 << 10;  // runtime.MemProfileRate
constexpr uint64_t kMostRate = uint64_t{1} << 40;
constexpr int kCycles = 4;  // active and three that wait

// Differences of counters that single cycles may drive below zero; only the sum has a meaning.
uint64_t in_use(uint64_t allocs, uint64_t frees) {
  const auto objects = static_cast<int64_t>(allocs - frees);
  return objects > 0 ? static_cast<uint64_t>(objects) : 0;
}

Result<std::optional<ProfileBucket>> read_bucket(remote::RemoteMemory& memory, const Layout& layout,
                                                 uint64_t address, std::span<const std::byte> header) {
  const auto& b = layout.bucket;
  const uint64_t frames = field(header, b.nstk);
  if (field(header, b.typ) != static_cast<uint64_t>(BucketKind::kMemory))
    return Error(ErrorCode::kDamaged, "the Go heap profile has a bucket that makes no sense");
  // The counters of a new bucket may reach into an untouched page.
  Bytes body(8 * frames + layout.mem_record.size);
  if (Status status = memory.read_touched(address + b.size, body); !status) return std::move(status).error();
  ProfileBucket out;
  out.object_bytes = field(header, b.object_size);
  for (uint64_t i = 0; i < frames; ++i) out.stack.push_back(word(body, 8 * i));
  if (bucket_hash(out.stack, out.object_bytes) != field(header, b.hash))
    return Error(ErrorCode::kDamaged, "the Go heap profile has a bucket whose hash is wrong");
  uint64_t allocs = 0, frees = 0;
  const auto& cycle = layout.mem_record_cycle;
  for (int i = 0; i < kCycles; ++i) {  // the record is active, then future[3]
    const auto at = static_cast<uint32_t>(8 * frames + layout.mem_record.active.offset + i * cycle.size);
    allocs += field(body, {at + cycle.allocs.offset, cycle.allocs.bytes});
    frees += field(body, {at + cycle.frees.offset, cycle.frees.bytes});
    if (i == 0) out.published_objects = in_use(allocs, frees);
  }
  out.current_objects = in_use(allocs, frees);
  if (out.published_objects == 0 && out.current_objects == 0) return std::optional<ProfileBucket>();
  return std::optional<ProfileBucket>(std::move(out));
}

// From the first P's cache, where releases from 1.24 on keep a copy.
std::optional<uint64_t> read_rate(remote::RemoteMemory& memory, const Globals& globals) {
  const Field where = globals.layout->mcache.mem_prof_rate;
  if (!where.present() || !globals.allp) return std::nullopt;
  Result<uint64_t> array = remote::read_value<uint64_t>(memory, *globals.allp);
  if (!array) return std::nullopt;
  Result<uint64_t> p = remote::read_value<uint64_t>(memory, *array);
  if (!p) return std::nullopt;
  Result<uint64_t> cache = remote::read_value<uint64_t>(memory, *p + globals.layout->p.mcache.offset);
  if (!cache) return std::nullopt;
  Result<uint64_t> rate = remote::read_value<uint64_t>(memory, *cache + where.offset);
  if (!rate) return std::nullopt;
  return *rate;
}

// Releases before 1.24: the variable itself. runtime.profilealloc, which they call for each sample, loads two variables of
// 8 bytes: mcache0, then MemProfileRate. Where it does anything else, nothing is known.
//
//   48 8b 15 0e 5d 17 00   mov rdx, [rip+0x175d0e]   runtime.mcache0
//   48 8b 05 62 5c 17 00   mov rax, [rip+0x175c62]   runtime.MemProfileRate
std::optional<uint64_t> read_rate_variable(remote::RemoteMemory& memory, const Globals& globals,
                                           const AddressRange& sampler) {
  constexpr size_t kInstruction = 7, kMostCode = 4096;
  if (sampler.empty() || sampler.bytes() > kMostCode) return std::nullopt;
  Bytes code(sampler.bytes());
  if (!memory.read(sampler.start, code) && !(globals.file && globals.file->read(sampler.start, code)))
    return std::nullopt;
  std::vector<uint64_t> loads;
  for (size_t i = 0; i + kInstruction <= code.size(); ++i) {
    const auto byte = [&](size_t k) { return std::to_integer<uint8_t>(code[i + k]); };
    if ((byte(0) & 0xfb) != 0x48 || byte(1) != 0x8b || (byte(2) & 0xc7) != 0x05) continue;
    const auto away = static_cast<int32_t>(field(code, {static_cast<uint32_t>(i + 3), 4}));
    const uint64_t target = sampler.start + i + kInstruction + static_cast<uint64_t>(int64_t{away});
    const bool variable = std::any_of(globals.data.begin(), globals.data.end(),
                                      [&](const AddressRange& range) { return range.contains(target); });
    if (variable && target % 8 == 0) loads.push_back(target);
  }
  if (loads.size() != 2 || loads[0] == loads[1]) return std::nullopt;
  Result<uint64_t> rate = remote::read_value<uint64_t>(memory, loads[1]);
  if (!rate || *rate > kMostRate) return std::nullopt;
  return *rate;
}

Result<uint32_t> cycles(remote::RemoteMemory& memory, const Globals& globals) {
  return remote::read_value<uint32_t>(memory, globals.memstats + globals.layout->mstats.numgc.offset);
}

}  // namespace

Result<std::optional<HeapProfile>> read_profile(remote::RemoteMemory& memory, const Globals& globals,
                                                const BucketLists& lists, const AddressRange& sampler) {
  const uint64_t head = lists.head(BucketKind::kMemory);
  if (head == 0) return std::optional<HeapProfile>();
  HeapProfile profile;
  std::optional<uint64_t> rate = read_rate(memory, globals);
  if (!rate) rate = read_rate_variable(memory, globals, sampler);
  profile.rate = rate.value_or(kDefaultRate);
  profile.rate_assumed = !rate.has_value();
  for (int attempt = 0; attempt < 2; ++attempt) {
    profile.buckets.clear();
    Result<uint32_t> before = cycles(memory, globals);
    if (!before) return std::move(before).error();
    Result<uint64_t> newest = remote::read_value<uint64_t>(memory, head);
    if (!newest) return std::move(newest).error();
    remote::BlockMemory blocks(memory);  // a bucket is read as it was when its block was
    const Status whole = walk_buckets(
        blocks, globals, *newest, 0, [&](uint64_t address, std::span<const std::byte> header) -> Status {
          Result<std::optional<ProfileBucket>> bucket = read_bucket(blocks, *globals.layout, address, header);
          if (!bucket) return std::move(bucket).error();
          if (bucket->has_value()) profile.buckets.push_back(std::move(**bucket));
          return {};
        });
    if (!whole) return whole.error();
    Result<uint32_t> after = cycles(memory, globals);
    if (!after) return std::move(after).error();
    profile.moved = *before != *after;
    if (!profile.moved) break;
  }
  return std::optional<HeapProfile>(std::move(profile));
}

double scaled_objects(uint64_t sampled, uint64_t object_bytes, uint64_t rate) {
  if (sampled == 0 || object_bytes == 0) return 0;
  if (rate <= 1) return static_cast<double>(sampled);
  return static_cast<double>(sampled) /
         (1 - std::exp(-static_cast<double>(object_bytes) / static_cast<double>(rate)));
}

double estimated_bytes(const HeapProfile& profile) {
  double sum = 0;
  for (const ProfileBucket& bucket : profile.buckets)
    sum += scaled_objects(bucket.published_objects, bucket.object_bytes, profile.rate) *
           static_cast<double>(bucket.object_bytes);
  return sum;
}

}  // namespace memwhy::goruntime
