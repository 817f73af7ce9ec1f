// SPDX-License-Identifier: Apache-2.0
#include "heap_process.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/ids.h"

namespace memwhy::fuzz {

using events::Vma;

// What its patches leave of the process's memory.
class HostileMemory final : public remote::RemoteMemory {
 public:
  explicit HostileMemory(HeapProcess& process) : process_(process) {}

  Status read(uint64_t address, std::span<std::byte> into) override {
    const Result<uint64_t> there = read_present(address, into);
    if (!there) return there.error();
    if (*there != into.size()) return Error(ErrorCode::kAbsent, "a page is not resident");
    return {};
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    ++process_.reads_;
    Result<uint64_t> there = process_.memory_.read_present(address, into);
    if (!there || into.empty()) return there;
    for (uint64_t page = address >> kPageShift; page <= (address + into.size() - 1) >> kPageShift; ++page)
      if (process_.shape_.memory.count(page) != 0) ++process_.looked_[page];
    for (const Patch& patch : process_.absent_) *there -= drop(patch, address, into);
    return there;
  }

 private:
  // How many bytes are not there any more.
  uint64_t drop(const Patch& patch, uint64_t address, std::span<std::byte> into) const {
    const uint64_t page = patch.address >> kPageShift << kPageShift;
    const auto looked = process_.looked_.find(page >> kPageShift);
    if (looked == process_.looked_.end() || looked->second <= patch.from) return 0;
    const uint64_t from = std::max(page, address), to = std::min(page + kPageBytes, address + into.size());
    if (from >= to) return 0;
    std::memset(into.data() + (from - address), 0, to - from);
    return to - from;
  }
  HeapProcess& process_;
};

namespace {

constexpr uint64_t kAddressEnd = uint64_t{1} << 47;
constexpr uint64_t kMostScanned = 65536;  // pages of a mapping that was added
constexpr std::array<const char*, 8> kNames = {"",
                                               "[heap]",
                                               "[stack]",
                                               "[anon:v8]",
                                               "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                               "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0",
                                               "/usr/lib/jvm/lib/server/libjvm.so",
                                               "/memfd:java_heap (deleted)"};

uint64_t whole_pages(uint64_t bytes) { return bytes >> kPageShift << kPageShift; }

void add(std::vector<Vma>& vmas, uint64_t address, uint64_t what) {
  Vma vma;
  vma.range.start = whole_pages(address % kAddressEnd);
  vma.range.end = std::min(kAddressEnd, vma.range.start + (kPageBytes << what % 34));
  vma.read = vma.write = true;
  const auto overlaps = [&](const Vma& other) {
    return other.range.start < vma.range.end && vma.range.start < other.range.end;
  };
  if (vma.range.empty() || std::any_of(vmas.begin(), vmas.end(), overlaps)) return;
  vmas.push_back(vma);
  std::sort(vmas.begin(), vmas.end(), [](const Vma& a, const Vma& b) { return a.range < b.range; });
}

// One thing that munmap, mremap, mprotect, madvise or prctl do.
void change(std::vector<Vma>& vmas, const Patch& patch) {
  const uint64_t what = patch.value >> 8;
  if (patch.value % 8 == 0) return add(vmas, patch.address, what);
  const auto found =
      std::find_if(vmas.begin(), vmas.end(), [&](const Vma& vma) { return vma.range.end >= patch.address; });
  if (found == vmas.end()) return;
  Vma& vma = *found;
  const uint64_t some = what % (vma.range.bytes() >> kPageShift) << kPageShift;  // less than all of it
  switch (patch.value % 8) {
    case 1:
      vmas.erase(found);
      return;
    case 2: {
      if (some == 0) return;
      Vma upper = vma;
      upper.range.start = vma.range.end = vma.range.start + some;
      if (what % 2 != 0) upper.write = !upper.write;
      vmas.insert(found + 1, upper);
      return;
    }
    case 3:
      vma.range.end -= some;
      return;
    case 4:
      vma.range.start += some;
      return;
    case 5:
      vma.name = kNames[what % kNames.size()];
      vma.inode = vma.name.starts_with('/') ? 5 : 0;
      return;
    case 6:
      vma.read = what % 2 != 0;
      vma.write = what / 2 % 2 != 0;
      vma.exec = what / 4 % 2 != 0;
      vma.shared = what / 8 % 8 == 0;
      return;
    default: {
      const uint64_t most = found + 1 == vmas.end() ? kAddressEnd : (found + 1)->range.start;
      vma.range.end = std::min(most, vma.range.end + (kPageBytes << what % 34));
    }
  }
}

// Both in order.
void join(std::vector<AddressRange>& ranges, const std::vector<Vma>& vmas) {
  for (const Vma& vma : vmas) ranges.push_back(vma.range);
  std::sort(ranges.begin(), ranges.end());
  std::vector<AddressRange> out;
  for (const AddressRange& range : ranges)
    if (!out.empty() && range.start <= out.back().end)
      out.back().end = std::max(out.back().end, range.end);
    else
      out.push_back(range);
  ranges = std::move(out);
}

bool is_word(const Patch& patch) {
  return patch.until != HeapProcess::kAbsent && patch.until != HeapProcess::kMapping;
}

std::vector<Patch> words_of(const std::vector<Patch>& patches) {
  std::vector<Patch> out;
  std::copy_if(patches.begin(), patches.end(), std::back_inserter(out), is_word);
  return out;
}

}  // namespace

HeapProcess::HeapProcess(const HeapShape& shape, const std::vector<Patch>& patches)
    : shape_(shape), memory_(shape.memory, words_of(patches)), file_(shape.file, words_of(patches)) {
  for (const Patch& patch : patches)
    if (!is_word(patch)) (patch.until == kAbsent ? absent_ : changes_).push_back(patch);
}

std::unique_ptr<remote::RemoteMemory> HeapProcess::memory() { return std::make_unique<HostileMemory>(*this); }

std::vector<Vma> HeapProcess::mappings(uint8_t time) const {
  std::vector<Vma> vmas = shape_.vmas;
  for (const Patch& patch : changes_)
    if (patch.from <= time) change(vmas, patch);
  return vmas;
}

allocators::HeapMemory::Vmas HeapProcess::vmas() {
  return [this] {
    std::vector<Vma> vmas = mappings(time_);
    if (time_ < UINT8_MAX) ++time_;
    join(mapped_, vmas);
    return Result<std::vector<Vma>>(std::move(vmas));
  };
}

allocators::FileBytes HeapProcess::file() {
  return [this](const Vma& /*vma*/, uint64_t address, size_t count) {
    std::vector<std::byte> out(count);
    return file_.read_present(address, out) ? out : std::vector<std::byte>{};
  };
}

// The pages of the shape, and of what was added as many as make the reading long but not too long.
events::PageScan HeapProcess::scan() {
  events::PageScan scan;
  scan.scan = 1;
  resident_bytes_ = 0;
  for (const auto& [page, bytes] : shape_.memory) {
    if (!scan.runs.empty() && scan.runs.back().page + scan.runs.back().count == page)
      ++scan.runs.back().count;
    else
      scan.runs.push_back({page, 1, 0});
  }
  for (const Vma& vma : mappings(time_)) {
    const auto held = shape_.memory.lower_bound(vma.range.start >> kPageShift);
    if (held != shape_.memory.end() && held->first < vma.range.end >> kPageShift) continue;
    const uint64_t pages = std::min(vma.range.bytes() >> kPageShift, kMostScanned);
    scan.runs.push_back({vma.range.start >> kPageShift, static_cast<uint32_t>(pages), events::kScanHuge});
  }
  std::sort(scan.runs.begin(), scan.runs.end(), [](const auto& a, const auto& b) { return a.page < b.page; });
  for (const events::ScanRun& run : scan.runs) resident_bytes_ += run.count * kPageBytes;
  return scan;
}

bool HeapProcess::was_mapped(const PageRange& pages) const {
  const auto range = std::partition_point(mapped_.begin(), mapped_.end(), [&](const AddressRange& each) {
    return each.end >> kPageShift < pages.end;
  });
  return range != mapped_.end() && range->start >> kPageShift <= pages.start;
}

std::vector<std::pair<uint64_t, uint64_t>> HeapProcess::words_read() const {
  std::vector<std::pair<uint64_t, uint64_t>> out;
  for (const Pages* pages : {&shape_.memory, &shape_.file}) {
    for (const auto& [page, bytes] : *pages) {
      if (pages == &shape_.memory && !looked_.empty() && looked_.count(page) == 0) continue;
      for (size_t at = 0; at < kPageBytes; at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        if (word != 0) out.emplace_back(page * kPageBytes + at, word);
      }
    }
  }
  return out;
}

}  // namespace memwhy::fuzz
