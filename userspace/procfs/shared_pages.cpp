// SPDX-License-Identifier: Apache-2.0
#include "procfs/shared_pages.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"

namespace memwhy::procfs {
namespace {

constexpr size_t kMostSamples = 512;   // of all mappings
constexpr uint64_t kLeastPages = 256;  // resident: smaller mappings are not sampled
constexpr uint64_t kFrameMask = (uint64_t{1} << 55) - 1;
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kFrameKsm = uint64_t{1} << 21;  // of kpageflags

// Resident pages of one mapping: where they are in the runs.
struct Part {
  const events::Vma* vma = nullptr;
  size_t first_run = 0, runs = 0;
  uint64_t pages = 0;
};

std::vector<Part> parts_of(const std::vector<events::Vma>& vmas, const std::vector<events::ScanRun>& runs) {
  std::vector<Part> parts;
  size_t at = 0;
  for (const events::Vma& vma : vmas) {
    while (at < runs.size() && (runs[at].page << kPageShift) < vma.range.start) ++at;
    Part part{&vma, at, 0, 0};
    for (; at < runs.size() && (runs[at].page << kPageShift) < vma.range.end; ++at, ++part.runs)
      if ((runs[at].flags & (events::kScanSwapped | events::kScanFile)) == 0) part.pages += runs[at].count;
    const bool anonymous = vma.inode == 0 && !vma.shared;
    if (part.pages >= kLeastPages && (anonymous || vma.shmem || (vma.shared && vma.inode == 0)))
      parts.push_back(part);
  }
  return parts;
}

class Counter {
 public:
  Counter(int pagemap, int counts, int flags) : pagemap_(pagemap), counts_(counts), flags_(flags) {}

  struct Mapped {
    uint64_t mappers = 0;  // page tables that map it; 0: unknown
    bool merged = false;   // by KSM: equal pages, of this process alone maybe, became one
  };
  Mapped mapped(uint64_t page) {
    uint64_t entry = 0;
    if (::pread(pagemap_, &entry, sizeof entry, static_cast<off_t>(page * 8)) != sizeof entry ||
        (entry & kPresent) == 0 || (entry & kFrameMask) == 0)
      return {};
    const auto of_frame = [&](int file, uint64_t& word) {
      return ::pread(file, &word, sizeof word, static_cast<off_t>((entry & kFrameMask) * 8)) == sizeof word;
    };
    uint64_t count = 0, flags = 0;
    if (!of_frame(counts_, count) || (count > 1 && !of_frame(flags_, flags))) return {};
    return {count, (flags & kFrameKsm) != 0};
  }

 private:
  int pagemap_, counts_, flags_;
};

struct Seen {
  uint64_t known = 0, shared = 0, merged = 0;
  std::vector<uint64_t> mappers;  // of the shared ones
};

// `wanted` pages, evenly over the mapping's resident ones.
Seen look_at(Counter& counter, const Part& part, const std::vector<events::ScanRun>& runs, uint64_t wanted) {
  Seen seen;
  const uint64_t step = std::max<uint64_t>(1, part.pages / std::max<uint64_t>(wanted, 1));
  uint64_t skip = step / 2;
  for (size_t i = part.first_run; i < part.first_run + part.runs; ++i) {
    if ((runs[i].flags & (events::kScanSwapped | events::kScanFile)) != 0) continue;
    for (; skip < runs[i].count; skip += step) {
      const auto [mappers, merged] = counter.mapped(runs[i].page + skip);
      if (mappers == 0) continue;
      ++seen.known;
      if (merged) ++seen.merged;
      if (mappers < 2 || merged) continue;
      ++seen.shared;
      seen.mappers.push_back(mappers);
    }
    skip -= runs[i].count;
  }
  return seen;
}

// Of pages that no other process maps any more, those in mappings that the parent has as well: a fork made them.
uint64_t copied_bytes(const std::vector<Part>& parts, const std::vector<events::Vma>& parents) {
  uint64_t pages = 0;
  for (const Part& part : parts) {
    uint64_t both = 0;
    for (const events::Vma& vma : parents) {
      if (vma.inode != 0 || vma.shared || !vma.write) continue;
      const uint64_t start = std::max(vma.range.start, part.vma->range.start),
                     end = std::min(vma.range.end, part.vma->range.end);
      if (start < end) both += (end - start) >> kPageShift;
    }
    pages += std::min(part.pages, both);
  }
  return pages * kPageBytes;
}

// Of an odd number of them the one in the middle; 0 of none.
uint64_t median(std::vector<uint64_t>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::optional<events::SharedPages> sample_shared(int pagemap, int root, const std::vector<events::Vma>& vmas,
                                                 const std::vector<events::ScanRun>& runs,
                                                 const std::function<std::vector<events::Vma>()>& parents) {
  const Fd counts(::openat(root, "kpagecount", O_RDONLY | O_CLOEXEC));
  const Fd flags(::openat(root, "kpageflags", O_RDONLY | O_CLOEXEC));
  if (!counts || !flags) return std::nullopt;
  const std::vector<Part> parts = parts_of(vmas, runs);
  uint64_t all = 0;
  for (const Part& part : parts) all += part.pages;
  Counter counter(pagemap, counts.get(), flags.get());
  events::SharedPages out;
  std::vector<uint64_t> of_anonymous, of_memory;
  std::vector<Part> unshared;
  uint64_t known = 0;
  for (const Part& part : parts) {
    Seen seen = look_at(counter, part, runs, std::max<uint64_t>(1, kMostSamples * part.pages / all));
    known += seen.known;
    const bool anonymous = part.vma->inode == 0 && !part.vma->shared;
    if (seen.shared == 0) {
      if (anonymous && seen.known > 0 && seen.merged == 0) unshared.push_back(part);
      continue;
    }
    const uint64_t shared = part.pages * seen.shared / seen.known;
    (anonymous ? out.anonymous_bytes : out.memory_bytes) += shared * kPageBytes;
    const uint64_t merged = part.pages * seen.merged / seen.known;
    if (anonymous) out.own_bytes += (part.pages - shared - merged) * kPageBytes;
    auto& mappers = anonymous ? of_anonymous : of_memory;
    mappers.insert(mappers.end(), seen.mappers.begin(), seen.mappers.end());
  }
  if (known == 0) return std::nullopt;
  out.anonymous_mappers = median(of_anonymous);
  if (out.anonymous_mappers > 0 && !unshared.empty()) out.own_bytes += copied_bytes(unshared, parents());
  out.memory_mappers = median(of_memory);
  return out;
}

}  // namespace memwhy::procfs
