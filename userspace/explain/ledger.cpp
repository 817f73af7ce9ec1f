// SPDX-License-Identifier: Apache-2.0
#include "explain/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "explain/mapping.h"

namespace memwhy::explain {
namespace {

using timeline::How;
using timeline::PageGroup;

constexpr size_t kCandidates = 64;  // entries of a line that are written out, then merged by their text

// A piece of evidence: pages of one owner that a file, a stack or a mapping answers for.
struct Cell {
  Owner owner{};
  enum class What : uint8_t { kFile, kStack, kVma } what = What::kVma;
  uint64_t id = 0;  // index of a mapping (of the first one of a file), or a StackId
  How how{};
  uint64_t pages = 0;
  TimeNs oldest = 0;
  auto key() const { return std::tuple(owner, what, id, how); }
};

std::string_view how_text(How how) {
  switch (how) {
    case How::kFault:
      return "fault";
    case How::kKernelFault:
      return "touched by the kernel";
    case How::kHugeBlock:
      return "huge page";
    case How::kFaultAround:
      return "fault-around";
    case How::kMoved:
      return "moved by mremap";
    case How::kInherited:
      return "inherited by fork";
    case How::kMmapSite:
      return "mmap site";
    case How::kBeforeAttach:
      return "before attach";
    case How::kUnknown:
      return "unknown";
  }
  return "unknown";
}

bool by_file(Owner owner) {
  return owner == Owner::kFileText || owner == Owner::kFilePrivate || owner == Owner::kFileShared;
}

// Owners whose mapping says it all; for the others the stack tells more.
bool by_mapping(Owner owner) {
  return owner == Owner::kRaceShadow || owner == Owner::kRaceMeta || owner == Owner::kThreadStacks ||
         owner == Owner::kMainStack || owner == Owner::kShmem;
}

std::string mapping_text(const events::Vma& vma) {
  if (!vma.name.empty()) return vma.name;
  return fmt::format("{:x}-{:x} {}{}{}{}", vma.range.start, vma.range.end, vma.read ? 'r' : '-',
                     vma.write ? 'w' : '-', vma.exec ? 'x' : '-', vma.shared ? 's' : 'p');
}

class Builder {
 public:
  Builder(const Evidence& evidence, const Owners& owners, Stacks& stacks)
      : evidence_(evidence), owners_(owners), stacks_(stacks), mappings_(evidence.vmas) {}

  Ledger build() {
    ledger_.table = &owners_.table();
    lines_.resize(kOwnerCount);
    for (const PageGroup& group : evidence_.scan.groups) add(group);
    split_heap();
    for (auto& [owner, vmas] : seen_) {
      std::sort(vmas.begin(), vmas.end());
      vmas.erase(std::unique(vmas.begin(), vmas.end()), vmas.end());
      of(ledger_.mappings, owner) = vmas.size();
    }
    merge_cells();
    uint64_t sum = 0;
    for (size_t i = 0; i < kOwnerCount; ++i) {
      if (lines_[i].bytes == 0) continue;
      sum += lines_[i].bytes;
      ledger_.lines.push_back(finish_line(static_cast<Owner>(i)));
    }
    ledger_.rss.bytes = evidence_.scan.resident_pages * kPageBytes;
    if (sum != ledger_.rss.bytes) {
      throw std::logic_error(fmt::format("ledger of {} bytes for a scan of {}", sum, ledger_.rss.bytes));
    }
    std::stable_sort(ledger_.lines.begin(), ledger_.lines.end(),
                     [](const LedgerLine& a, const LedgerLine& b) { return a.bytes > b.bytes; });
    ledger_.stale_bytes = evidence_.scan.stale_pages * kPageBytes;
    ledger_.scan_complete = evidence_.scan.complete;
    return std::move(ledger_);
  }

 private:
  void add(const PageGroup& group) {
    Owner owner = owners_.owner_of(group, stacks_);
    LedgerLine& line = lines_[static_cast<size_t>(owner)];
    line.bytes += group.bytes();
    line.huge_bytes += group.huge_pages * kPageBytes;
    line.lazy_bytes += group.lazy_pages * kPageBytes;
    for (size_t i = 0; i < line.ages.size(); ++i) line.ages[i] += group.older_pages[i] * kPageBytes;
    of(ledger_.bytes, owner) += group.bytes();
    ledger_.lost_stack_bytes += group.stack_lost_pages * kPageBytes;
    bool has_stack = group.stack != StackId::kNone && group.stack != StackId::kLost &&
                     group.how != How::kBeforeAttach && group.how != How::kUnknown;
    if (has_stack && stacks_.facts(group.stack).truncated) ledger_.truncated_stack_bytes += group.bytes();
    if (group.vma >= evidence_.vmas.size()) {
      ledger_.rss.anon += group.bytes();
      return;
    }
    add_kind(group);
    seen_[owner].push_back(group.vma);
    if (owner == Owner::kRaceInternal && owners_.vmas()[group.vma].basis == Basis::kShape &&
        stacks_.facts(group.stack).touched != StackKind::kRace) {
      ledger_.race_by_shape_bytes += group.bytes();
    }
    if (owner == Owner::kRaceInternal) {
      const uint64_t size = evidence_.vmas[group.vma].range.bytes();
      if (size > kMiB && std::has_single_bit(size - kPageBytes)) ledger_.race_doubled_bytes += group.bytes();
      if (size % kMiB == 0) ledger_.race_block_bytes += group.bytes();
    }
    if (owner == Owner::kRaceShadow) {
      const AddressRange& range = evidence_.vmas[group.vma].range;
      AddressRange& shadow = ledger_.race_shadow_range;
      shadow = shadow.empty()
                   ? range
                   : AddressRange{std::min(shadow.start, range.start), std::max(shadow.end, range.end)};
    }
    add_cell(group, owner, has_stack);
  }

  // A line of pages that hold live and dead things becomes lines by the state of their slots; ages are known of pages, not
  // of slots.
  void split_heap() {
    for (const RuntimeUses::Parted& part : owners_.uses().part(evidence_.scan, ledger_.bytes)) {
      parted_.push_back(part);
      for (Owner owner : {part.live, part.slots.dead, part.slots.free}) {
        LedgerLine& line = lines_[static_cast<size_t>(owner)];
        line.ages_known = false;
        line.ages = {};
        line.huge_bytes = line.lazy_bytes = 0;
      }
      lines_[static_cast<size_t>(part.live)].in_heap_profile = part.slots.in_heap_profile;
      if (part.rest) lines_[static_cast<size_t>(part.slots.rest)].ages_known = false;
    }
    for (size_t i = 0; i < kOwnerCount; ++i) lines_[i].bytes = ledger_.bytes[i];
  }

  void add_kind(const PageGroup& group) {
    const events::Vma& vma = evidence_.vmas[group.vma];
    bool shmem = vma.shmem || (vma.shared && vma.inode == 0);
    bool cache = vma.shared || group.file_page;  // not an anonymous page
    (!cache ? ledger_.rss.anon : shmem ? ledger_.rss.shmem : ledger_.rss.file) += group.bytes();
  }

  void add_cell(const PageGroup& group, Owner owner, bool has_stack) {
    Cell cell{owner, Cell::What::kVma, group.vma, group.how, group.pages, group.oldest};
    if (by_file(owner)) {
      cell.what = Cell::What::kFile;
      cell.id = file_index(group.vma);
      cell.how = How::kFault;  // one entry for each file
    } else if (by_mapping(owner)) {
      cell.how = How::kFault;
    } else if (has_stack) {
      cell.what = Cell::What::kStack;
      cell.id = static_cast<uint64_t>(group.stack);
    }
    cells_.push_back(cell);
  }

  // The first mapping of the same file; the file's, for the .bss that continues it.
  uint64_t file_index(uint32_t vma) {
    const events::Vma* file = mappings_.bss_of(vma);
    if (file == nullptr) file = &evidence_.vmas[vma];
    auto index = static_cast<uint64_t>(file - evidence_.vmas.data());
    return files_.try_emplace(file->name, index).first->second;
  }

  void merge_cells() {
    std::sort(cells_.begin(), cells_.end(), [](const Cell& a, const Cell& b) { return a.key() < b.key(); });
    size_t kept = 0;
    for (const Cell& cell : cells_) {
      if (kept > 0 && cells_[kept - 1].key() == cell.key()) {
        cells_[kept - 1].pages += cell.pages;
        cells_[kept - 1].oldest = std::min(cells_[kept - 1].oldest, cell.oldest);
      } else {
        cells_[kept++] = cell;
      }
    }
    cells_.resize(kept);
    std::stable_sort(cells_.begin(), cells_.end(), [](const Cell& a, const Cell& b) {
      return std::tuple(a.owner, b.pages) < std::tuple(b.owner, a.pages);
    });
  }

  TopEntry entry(const Cell& cell) {
    TopEntry top;
    top.bytes = cell.pages * kPageBytes;
    if (cell.oldest != 0 && cell.oldest <= evidence_.scan.time) {
      top.age_s = static_cast<double>(evidence_.scan.time - cell.oldest) / 1e9;
    }
    switch (cell.what) {
      case Cell::What::kFile:
        top.what = "file";
        top.name = evidence_.vmas[cell.id].name;
        break;
      case Cell::What::kStack: {
        auto id = static_cast<StackId>(cell.id);
        top.what = "stack";
        top.how = how_text(cell.how);
        top.frames = stacks_.frames(id);
        top.truncated = stacks_.facts(id).truncated;
        break;
      }
      case Cell::What::kVma:
        top.what = "vma";
        top.name = mapping_text(evidence_.vmas[cell.id]);
        if (!by_mapping(cell.owner)) top.how = how_text(cell.how);
        break;
    }
    return top;
  }

  LedgerLine finish_line(Owner owner) {
    LedgerLine& line = lines_[static_cast<size_t>(owner)];
    line.id = owners_.table().name(owner).id;
    line.label = owners_.table().name(owner).label;
    auto first =
        std::find_if(cells_.begin(), cells_.end(), [&](const Cell& cell) { return cell.owner == owner; });
    for (size_t n = 0; first != cells_.end() && first->owner == owner && n < kCandidates; ++first, ++n) {
      TopEntry next = entry(*first);
      auto same = std::find_if(line.top.begin(), line.top.end(), [&](const TopEntry& top) {
        return top.what == next.what && top.how == next.how && top.name == next.name &&
               top.frames == next.frames;
      });
      if (same == line.top.end()) {
        line.top.push_back(std::move(next));
        continue;
      }
      same->bytes += next.bytes;
      if (next.age_s) same->age_s = std::max(same->age_s.value_or(0), *next.age_s);
    }
    std::stable_sort(line.top.begin(), line.top.end(),
                     [](const TopEntry& a, const TopEntry& b) { return a.bytes > b.bytes; });
    if (line.top.size() > kTopEntries) line.top.resize(kTopEntries);
    for (const RuntimeUses::Parted& part : parted_)
      if (part.live == owner) first_touched(line, part.slots.whole);
    return std::move(line);
  }

  // Faults speak of whole pages, whatever became of their slots: they may say more than the line of live ones.
  static void first_touched(LedgerLine& line, std::string_view whole) {
    uint64_t sum = 0;
    for (const TopEntry& top : line.top) sum += top.bytes;
    for (TopEntry& top : line.top) {
      top.how = sum > line.bytes ? fmt::format("first touched, of all {}; {}", whole, top.how)
                                 : "first touched; " + top.how;
    }
    limit_to(line.bytes, line.top);
  }

  const Evidence& evidence_;
  const Owners& owners_;
  Stacks& stacks_;
  Mappings mappings_;
  Ledger ledger_;
  std::vector<LedgerLine> lines_;
  std::vector<Cell> cells_;
  std::vector<RuntimeUses::Parted> parted_;
  std::unordered_map<std::string_view, uint64_t> files_;
  std::unordered_map<Owner, std::vector<uint32_t>> seen_;
};

}  // namespace

void limit_to(uint64_t bytes, std::vector<TopEntry>& top) {
  for (TopEntry& entry : top) {
    entry.bytes = std::min(entry.bytes, bytes);
    bytes -= entry.bytes;
  }
  std::erase_if(top, [](const TopEntry& entry) { return entry.bytes == 0; });
}

Ledger make_ledger(const Evidence& evidence, const Owners& owners, Stacks& stacks) {
  return Builder(evidence, owners, stacks).build();
}

}  // namespace memwhy::explain
