// SPDX-License-Identifier: Apache-2.0
#include "procfs/page_scan.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "base/time.h"

namespace memwhy::procfs {
namespace {

// linux/fs.h of 6.7; older headers lack it.
struct PageRegion {
  uint64_t start, end, categories;
};
struct PagemapScan {
  uint64_t size, flags, start, end, walk_end, regions, regions_size, max_pages;
  uint64_t inverted, all_of, any_of, wanted;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);
constexpr uint64_t kPageIsFile = 1 << 2;
constexpr uint64_t kPageIsPresent = 1 << 3;
constexpr uint64_t kPageIsSwapped = 1 << 4;
constexpr uint64_t kPageIsZero = 1 << 5;
constexpr uint64_t kPageIsHuge = 1 << 6;
constexpr uint64_t kPageIsGuard = 1 << 8;  // 6.15: a guard page, which also calls itself swapped

// An entry of pagemap, one for each page.
constexpr uint64_t kEntryPresent = uint64_t{1} << 63;
constexpr uint64_t kEntrySwapped = uint64_t{1} << 62;
constexpr uint64_t kEntryFile = uint64_t{1} << 61;
constexpr uint64_t kEntryGuard = uint64_t{1} << 58;
constexpr uint64_t kEntryFrame = (uint64_t{1} << 55) - 1;  // 0 without CAP_SYS_ADMIN
// A word of kpageflags, one for each frame.
constexpr uint64_t kFrameThp = uint64_t{1} << 22;
constexpr uint64_t kFrameZero = uint64_t{1} << 24;

enum class Kind : uint8_t {
  kSkip,         // hugetlb: beside RSS
  kPlain,        // anonymous memory, shared memory, shared files: no need to check whose the page is
  kPrivateFile,  // file pages and anonymous copies share it: PAGE_IS_FILE is requested
  kDevice,       // may hold raw frames; only pages of a file count
};

Kind kind_of(const events::Vma& vma) {
  const std::string_view name = vma.name;
  if (vma.hugetlb) return Kind::kSkip;
  if (name.starts_with("[v") && !name.starts_with("[vectors"))
    return Kind::kDevice;  // [vvar], [vvar_vclock], [vdso]
  if (vma.shmem || name.starts_with("/dev/shm/") || name == "/dev/zero") return Kind::kPlain;
  if (name.starts_with("/dev/") || name.starts_with("/sys/") || name.starts_with("/proc/") ||
      name.starts_with("anon_inode:") || name.starts_with("socket:")) {
    return Kind::kDevice;
  }
  if (vma.inode != 0 && !vma.shared) return Kind::kPrivateFile;
  return Kind::kPlain;
}

// Neighbours of one kind, walked together.
struct Group {
  Kind kind = Kind::kPlain;
  size_t first = 0, last = 0;  // indexes of VMAs, [first, last)
};

std::vector<Group> groups_of(const std::vector<events::Vma>& vmas) {
  std::vector<Group> groups;
  for (size_t i = 0; i < vmas.size(); ++i) {
    const Kind kind = kind_of(vmas[i]);
    if (!groups.empty() && groups.back().kind == kind) {
      groups.back().last = i + 1;
    } else {
      groups.push_back({kind, i, i + 1});
    }
  }
  std::erase_if(groups, [](const Group& g) { return g.kind == Kind::kSkip; });
  return groups;
}

// Cuts what the kernel reports at the borders of the mappings and joins what belongs together.
class RunWriter {
 public:
  RunWriter(const std::vector<events::Vma>& vmas, std::vector<events::ScanRun>& runs)
      : vmas_(vmas), runs_(runs) {}

  void add(AddressRange range, uint8_t flags) {
    while (vma_ < vmas_.size() && vmas_[vma_].range.end <= range.start) ++vma_;
    for (; vma_ < vmas_.size() && vmas_[vma_].range.start < range.end; ++vma_) {
      const AddressRange& vma = vmas_[vma_].range;
      const uint64_t end = std::min(range.end, vma.end);
      append(std::max(range.start, vma.start), end, flags);
      if (vma.end >= range.end) return;
    }
  }

 private:
  void append(uint64_t start, uint64_t end, uint8_t flags) {
    const PageNumber page = start >> kPageShift;
    const uint64_t pages = (end - start) >> kPageShift;
    if (!runs_.empty() && last_vma_ == vma_) {
      events::ScanRun& last = runs_.back();
      const bool fits = last.count + pages <= std::numeric_limits<uint32_t>::max();
      if (last.page + last.count == page && last.flags == flags && fits) {
        last.count += static_cast<uint32_t>(pages);
        return;
      }
    }
    last_vma_ = vma_;
    runs_.push_back({page, static_cast<uint32_t>(pages), flags});
  }

  const std::vector<events::Vma>& vmas_;
  std::vector<events::ScanRun>& runs_;
  size_t vma_ = 0;
  size_t last_vma_ = std::numeric_limits<size_t>::max();
};

// Pauses so that the target's mmap and munmap get their turn.
class Pacer {
 public:
  explicit Pacer(const ScanPace& pace) : pace_(pace) {}
  void worked(uint64_t ns, uint64_t pages) {
    busy_ns_ += ns;
    pages_ += pages;
    if (busy_ns_ < pace_.busy_ns && pages_ < pace_.step_pages) return;
    busy_ns_ = 0;
    pages_ = 0;
    const timespec pause = {static_cast<time_t>(pace_.pause_ns / 1'000'000'000),
                            static_cast<long>(pace_.pause_ns % 1'000'000'000)};
    ::nanosleep(&pause, nullptr);
  }

 private:
  ScanPace pace_;
  uint64_t busy_ns_ = 0, pages_ = 0;
};

// The masks for "resident and counted, or in swap" for one kind of mapping.
PagemapScan request_for(Kind kind, bool guards_known) {
  PagemapScan request = {};
  request.size = sizeof request;
  const uint64_t never = kPageIsZero | (guards_known ? kPageIsGuard : 0);
  request.inverted = never;
  request.all_of = never;
  if (kind == Kind::kDevice) {
    request.all_of |= kPageIsPresent | kPageIsFile;
  } else {
    request.any_of = kPageIsPresent | kPageIsSwapped;
  }
  request.wanted = kPageIsPresent | kPageIsSwapped | kPageIsHuge;
  if (kind == Kind::kPrivateFile) request.wanted |= kPageIsFile;
  return request;
}

uint8_t flags_of(uint64_t categories) {
  uint8_t flags = 0;
  if ((categories & kPageIsPresent) == 0) return events::kScanSwapped;
  if ((categories & kPageIsHuge) != 0) flags |= events::kScanHuge;
  if ((categories & kPageIsFile) != 0) flags |= events::kScanFile;
  return flags;
}

class IoctlPass {
 public:
  IoctlPass(int pagemap, const ScanPace& pace)
      : pagemap_(pagemap), pace_(pace), pacer_(pace), regions_(2048) {
    PagemapScan probe = request_for(Kind::kPlain, true);
    guards_known_ = step(probe) >= 0;
    PagemapScan plain = request_for(Kind::kPlain, false);
    available_ = guards_known_ || step(plain) >= 0;
  }
  bool available() const { return available_; }

  // false: the kernel refused a range.
  bool walk(const Group& group, const std::vector<events::Vma>& vmas, RunWriter& out) {
    PagemapScan request = request_for(group.kind, guards_known_);
    const uint64_t narrow = pace_.step_pages << kPageShift;
    const uint64_t end = vmas[group.last - 1].range.end;
    uint64_t width = narrow;
    uint64_t at = vmas[group.first].range.start;
    size_t vma = group.first;
    while (at < end) {
      while (vmas[vma].range.end <= at) ++vma;
      at = std::max(at, vmas[vma].range.start);
      request.start = at;
      request.end = at + std::min(width, end - at);
      request.max_pages = pace_.step_pages;
      const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
      const long n = step(request);
      const uint64_t took = clock_ns(CLOCK_MONOTONIC) - begun;
      if (n < 0) return false;
      uint64_t pages = 0;
      for (long i = 0; i < n; ++i) {
        const PageRegion& region = regions_[static_cast<size_t>(i)];
        pages += (region.end - region.start) >> kPageShift;
        out.add({region.start, region.end}, flags_of(region.categories));
      }
      // walk_end is not to be trusted: it can be an older stop of the same walk. A walk that stopped early
      // did so at the end of its last region, or after it with nothing in between.
      const bool stopped = n > 0 && (static_cast<size_t>(n) == regions_.size() || pages >= pace_.step_pages);
      at = stopped ? regions_[static_cast<size_t>(n) - 1].end : request.end;
      width = took * 4 < pace_.busy_ns && !stopped ? std::min(width * 4, pace_.widest_step) : narrow;
      pacer_.worked(took, pages);
    }
    return true;
  }

 private:
  long step(PagemapScan& request) {
    request.regions = reinterpret_cast<uint64_t>(regions_.data());
    request.regions_size = regions_.size();
    request.walk_end = 0;
    while (true) {
      const int n = ::ioctl(pagemap_, kPagemapScan, &request);
      if (n >= 0 || errno != EINTR) return n;
    }
  }

  int pagemap_;
  ScanPace pace_;
  Pacer pacer_;
  std::vector<PageRegion> regions_;
  bool guards_known_ = false, available_ = false;
};

// The frame that every untouched page reads from, found by reading one of our own. 0: frames are not shown to
// us (CAP_SYS_ADMIN), and zero pages can't be distinguished from others.
uint64_t zero_frame(int root) {
  const Fd own(::openat(root, "self/pagemap", O_RDONLY | O_CLOEXEC));
  void* page = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 0;
  uint64_t entry = 0;
  static_cast<void>(*static_cast<volatile const char*>(page));
  const off_t offset = static_cast<off_t>((reinterpret_cast<uint64_t>(page) >> kPageShift) * 8);
  const bool known = own && ::pread(own.get(), &entry, sizeof entry, offset) == sizeof entry;
  ::munmap(page, kPageBytes);
  return known && (entry & kEntryPresent) != 0 ? entry & kEntryFrame : 0;
}

// Linux before 6.7: one entry for each page, resident or not.
class ReadPass {
 public:
  ReadPass(int pagemap, int root, const ScanPace& pace)
      : pagemap_(pagemap),
        pacer_(pace),
        frame_flags_(::openat(root, "kpageflags", O_RDONLY | O_CLOEXEC)),
        entries_(std::max<uint64_t>(pace.step_pages, kChunkPages)),
        zero_frame_(zero_frame(root)) {}

  // false: a range could not be read, or it is larger than can be read in sensible time.
  bool walk(const Group& group, const std::vector<events::Vma>& vmas, RunWriter& out) {
    bool complete = true;
    for (size_t i = group.first; i < group.last; ++i) {
      const events::Vma& vma = vmas[i];
      const uint64_t pages = vma.range.bytes() >> kPageShift;
      // Reservations hold nothing, and cost eight bytes of output for each page of nothing.
      if (!vma.read && !vma.write && !vma.exec && pages > kChunkPages) continue;
      if (pages > kPagesAtMost) {
        complete = false;
        continue;
      }
      complete = read(vma.range, group.kind, out) && complete;
    }
    return complete;
  }

 private:
  static constexpr uint64_t kPagesAtMost = (uint64_t{1} << 40) >> kPageShift;  // 1 TiB: 0.5 s of reading

  bool read(AddressRange range, Kind kind, RunWriter& out) {
    uint64_t at = range.start;
    while (at < range.end) {
      const uint64_t wanted = std::min<uint64_t>((range.end - at) >> kPageShift, entries_.size());
      const uint64_t begun = clock_ns(CLOCK_MONOTONIC);
      const ssize_t n =
          ::pread(pagemap_, entries_.data(), wanted * 8, static_cast<off_t>((at >> kPageShift) * 8));
      const uint64_t took = clock_ns(CLOCK_MONOTONIC) - begun;
      if (n < 0 && errno == EINTR) continue;
      if (n < 8) return false;
      const uint64_t got = static_cast<uint64_t>(n) / 8;
      const uint64_t populated = report(at, got, kind, out);
      at += got << kPageShift;
      pacer_.worked(took, populated);
    }
    return true;
  }

  uint64_t report(uint64_t at, uint64_t count, Kind kind, RunWriter& out) {
    uint64_t populated = 0;
    for (uint64_t i = 0; i < count;) {
      const uint64_t address = at + (i << kPageShift);
      const std::optional<uint64_t> block = huge_block(address, i, count);
      if (block) {
        if ((*block & kFrameZero) == 0) {
          uint8_t flags = events::kScanHuge;
          if (kind == Kind::kPrivateFile && (entries_[i] & kEntryFile) != 0) flags |= events::kScanFile;
          out.add({address, address + (kChunkPages << kPageShift)}, flags);
        }
        populated += kChunkPages;
        i += kChunkPages;
        continue;
      }
      const uint64_t entry = entries_[i++];
      if ((entry & (kEntryPresent | kEntrySwapped)) == 0 || (entry & kEntryGuard) != 0) continue;
      ++populated;
      const bool present = (entry & kEntryPresent) != 0;
      const bool of_file = (entry & kEntryFile) != 0;
      if (kind == Kind::kDevice && !(present && of_file)) continue;
      if (present && !of_file && is_zero(entry & kEntryFrame)) continue;
      uint8_t flags = present ? 0 : events::kScanSwapped;
      if (kind == Kind::kPrivateFile && present && of_file) flags |= events::kScanFile;
      out.add({address, address + kPageBytes}, flags);
    }
    return populated;
  }

  // The frame's flags, if the 512 pages from entry `i` on are one huge page.
  std::optional<uint64_t> huge_block(uint64_t address, uint64_t i, uint64_t count) {
    if ((address >> kPageShift) % kChunkPages != 0 || i + kChunkPages > count) return std::nullopt;
    const uint64_t first = entries_[i];
    const uint64_t frame = first & kEntryFrame;
    if ((first & kEntryPresent) == 0 || frame == 0 || frame % kChunkPages != 0) return std::nullopt;
    for (uint64_t k = 1; k < kChunkPages; ++k) {
      if ((entries_[i + k] & kEntryPresent) == 0 || (entries_[i + k] & kEntryFrame) != frame + k)
        return std::nullopt;
    }
    const auto flags = frame_flags(frame);
    return flags && (*flags & (kFrameThp | kFrameZero)) != 0 ? flags : std::nullopt;
  }

  bool is_zero(uint64_t frame) const { return frame != 0 && frame == zero_frame_; }

  std::optional<uint64_t> frame_flags(uint64_t frame) const {
    uint64_t flags = 0;
    if (!frame_flags_ || ::pread(frame_flags_.get(), &flags, 8, static_cast<off_t>(frame * 8)) != 8)
      return std::nullopt;
    return flags;
  }

  int pagemap_;
  Pacer pacer_;
  Fd frame_flags_;
  std::vector<uint64_t> entries_;
  uint64_t zero_frame_ = 0;
};

template <typename Pass>
void walk_all(Pass& pass, const std::vector<events::Vma>& vmas, ScanOutcome& outcome) {
  RunWriter out(vmas, outcome.runs);
  for (const Group& group : groups_of(vmas))
    outcome.complete = pass.walk(group, vmas, out) && outcome.complete;
}

}  // namespace

PageScanner::PageScanner(int pagemap, int root, Method method, ScanPace pace)
    : pagemap_(pagemap), root_(root), method_(method), pace_(pace) {}

Result<ScanOutcome> PageScanner::scan(const std::vector<events::Vma>& vmas) {
  ScanOutcome outcome;
  if (method_ == Method::kBest) {
    IoctlPass pass(pagemap_, pace_);
    if (pass.available()) {
      outcome.method = "PAGEMAP_SCAN";
      walk_all(pass, vmas, outcome);
      return outcome;
    }
  }
  outcome.method = "pagemap";
  uint64_t entry = 0;
  if (!vmas.empty()) {
    const auto offset = static_cast<off_t>((vmas.front().range.start >> kPageShift) * 8);
    if (::pread(pagemap_, &entry, sizeof entry, offset) < 0)
      return errno_error(ErrorCode::kEnvironment, "pagemap", errno);
  }
  ReadPass pass(pagemap_, root_, pace_);
  walk_all(pass, vmas, outcome);
  return outcome;
}

}  // namespace memwhy::procfs
