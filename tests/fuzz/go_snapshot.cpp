// SPDX-License-Identifier: Apache-2.0
#include "go_snapshot.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "fuzz/support/check.h"

namespace memwhy::fuzz {
namespace {

constexpr std::string_view kMagic = "MWGOSNP1";
constexpr size_t kPageBytes = 4096;
constexpr int kZstdLevel = 19;

void put(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put(std::string& out, const Pages& pages) {
  put(out, pages.size());
  for (const auto& [number, bytes] : pages) {
    put(out, number);
    out += bytes;
  }
}

std::string_view take_bytes(std::string_view& from, size_t bytes) {
  check(bytes <= from.size(), "the snapshot is whole");
  const std::string_view head = from.substr(0, bytes);
  from.remove_prefix(bytes);
  return head;
}

uint64_t take(std::string_view& from) {
  uint64_t value = 0;
  std::memcpy(&value, take_bytes(from, sizeof value).data(), sizeof value);
  return value;
}

Pages take_pages(std::string_view& from) {
  Pages out;
  for (uint64_t left = take(from); left > 0; --left) {
    const uint64_t number = take(from);
    out[number] = take_bytes(from, kPageBytes);
  }
  return out;
}

}  // namespace

std::string to_bytes(const GoSnapshot& snapshot) {
  const goruntime::GoProgram& program = snapshot.program;
  std::string out(kMagic);
  put(out, program.version.size());
  out += program.version;
  for (const uint64_t value : {program.image.pclntab, program.image.names_offset, program.sampler.start,
                               program.sampler.end, uint64_t{program.image.writable.size()}})
    put(out, value);
  for (const AddressRange& range : program.image.writable) {
    put(out, range.start);
    put(out, range.end);
  }
  put(out, snapshot.resident.size());
  for (const events::ScanRun& run : snapshot.resident) {
    put(out, run.page);
    put(out, run.count);
  }
  put(out, snapshot.memory);
  put(out, snapshot.file);
  std::string compressed(ZSTD_compressBound(out.size()), '\0');
  const size_t size = ZSTD_compress(compressed.data(), compressed.size(), out.data(), out.size(), kZstdLevel);
  check(ZSTD_isError(size) == 0, "the snapshot can be compressed");
  compressed.resize(size);
  return compressed;
}

GoSnapshot snapshot_from(const std::string& file_name) {
  std::ifstream file(file_name, std::ios::binary);
  const std::string compressed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const unsigned long long size = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  check(size < (64u << 20), "the snapshot is a small zstd frame");
  std::string bytes(size, '\0');
  check(ZSTD_decompress(bytes.data(), bytes.size(), compressed.data(), compressed.size()) == size,
        "the snapshot can be decompressed");
  std::string_view in = bytes;
  check(take_bytes(in, kMagic.size()) == kMagic, "a snapshot of this version");
  GoSnapshot out;
  goruntime::GoProgram& program = out.program;
  program.version = take_bytes(in, take(in));
  program.image.pclntab = take(in);
  program.image.names_offset = take(in);
  program.sampler.start = take(in);
  program.sampler.end = take(in);
  program.image.writable.resize(take(in));
  for (AddressRange& range : program.image.writable) {
    range.start = take(in);
    range.end = take(in);
  }
  out.resident.resize(take(in));
  for (events::ScanRun& run : out.resident) {
    run.page = take(in);
    run.count = static_cast<uint32_t>(take(in));
  }
  out.memory = take_pages(in);
  out.file = take_pages(in);
  return out;
}

const char* PatchedMemory::page(uint64_t number) const {
  auto found = pages_.find(number);
  if (found != pages_.end()) return found->second.data();
  for (const Patch& patch : patches_) {
    if (patch.until != Patch::kMirror || number - patch.value / kPageBytes >= kMirrorBytes / kPageBytes)
      continue;
    found = pages_.find(patch.address / kPageBytes);
    if (found != pages_.end()) return found->second.data();
  }
  return nullptr;
}

void PatchedMemory::apply(uint64_t address, std::span<std::byte> into) {
  for (size_t i = 0; i < patches_.size(); ++i) {
    const Patch& patch = patches_[i];
    // Words lie on their own bounds, so that one is inside or outside, or cut by the end of what is read.
    if (patch.until == Patch::kMirror || patch.address - address >= into.size()) continue;
    if (page(patch.address / kPageBytes) == nullptr) continue;
    const uint32_t nth = reads_[i]++;
    if (nth < patch.from || (patch.until != Patch::kForever && nth >= patch.until)) continue;
    const uint64_t at = patch.address - address;
    std::memcpy(into.data() + at, &patch.value, std::min<size_t>(sizeof patch.value, into.size() - at));
  }
}

Status PatchedMemory::read(uint64_t address, std::span<std::byte> into) {
  const Result<uint64_t> there = read_present(address, into);
  if (!there) return there.error();
  if (*there != into.size()) return Error(ErrorCode::kAbsent, "a page is not resident");
  return {};
}

Result<uint64_t> PatchedMemory::read_present(uint64_t address, std::span<std::byte> into) {
  if (address + into.size() < address) return Error(ErrorCode::kAbsent, "an address range wraps");
  uint64_t there = 0;
  for (size_t done = 0; done < into.size();) {
    const uint64_t at = address + done;
    const size_t bytes = std::min<size_t>(into.size() - done, kPageBytes - at % kPageBytes);
    if (const char* const found = page(at / kPageBytes)) {
      std::memcpy(into.data() + done, found + at % kPageBytes, bytes);
      there += bytes;
    } else {
      std::memset(into.data() + done, 0, bytes);
    }
    done += bytes;
  }
  apply(address, into);
  return there;
}

}  // namespace memwhy::fuzz
