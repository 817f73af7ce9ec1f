// SPDX-License-Identifier: Apache-2.0
#include "explain/mapping.h"

#include <algorithm>
#include <bit>

namespace memwhy::explain {
namespace {

constexpr uint64_t kRaceAllocUnit = 64 << 10;

bool no_access(const events::Vma& vma) {
  return !vma.read && !vma.write && !vma.exec && vma.inode == 0 && !vma.shared;
}

}  // namespace

Mappings::Mappings(const std::vector<events::Vma>& vmas) : vmas_(vmas) {
  for (const events::Vma& vma : vmas)
    if (vma.exec && vma.inode != 0) programs_.emplace_back(vma.device, vma.inode);
  std::sort(programs_.begin(), programs_.end());
}

bool Mappings::of_program(const events::Vma& vma) const {
  return vma.inode != 0 &&
         std::binary_search(programs_.begin(), programs_.end(), std::pair(vma.device, vma.inode));
}

bool Mappings::private_anon(size_t i) const {
  const events::Vma& vma = vmas_[i];
  return !vma.shared && vma.inode == 0 && !vma.shmem;
}

bool Mappings::guard_below(size_t i) const {
  return i > 0 && vmas_[i - 1].range.end == vmas_[i].range.start && no_access(vmas_[i - 1]);
}

bool Mappings::glibc_arena(size_t i) const {
  const events::Vma& vma = vmas_[i];
  if (!private_anon(i) || !vma.write || vma.exec || i + 1 >= vmas_.size()) return false;
  if (vma.range.start % kGlibcArenaBytes != 0 || vma.range.end % kGlibcArenaBytes == 0) return false;
  const events::Vma& rest = vmas_[i + 1];
  uint64_t boundary = (vma.range.end / kGlibcArenaBytes + 1) * kGlibcArenaBytes;
  // A guard page of the next mapping may have merged with the rest.
  return rest.range.start == vma.range.end && no_access(rest) && rest.range.end >= boundary &&
         rest.range.end - boundary <= kRaceAllocUnit;
}

const events::Vma* Mappings::bss_of(size_t i) const {
  const events::Vma& vma = vmas_[i];
  if (i == 0 || !private_anon(i) || !vma.write || !vma.name.empty()) return nullptr;
  const events::Vma& file = vmas_[i - 1];
  if (file.range.end != vma.range.start || file.inode == 0 || file.shared || !file.write) return nullptr;
  return &file;
}

uint64_t Mappings::race_block_quarters(size_t i, const RaceLayout& layout) const {
  const events::Vma& vma = vmas_[i];
  if (!private_anon(i) || !vma.read || !vma.write || vma.exec || !vma.name.empty()) return 0;
  if (vma.range.start < layout.go_heap.end && vma.range.end > layout.go_heap.start) return 0;
  uint64_t bytes = vma.range.bytes();
  // A shadow call stack is 2^n and one page; just doubled, half of it is written.
  if (bytes > kMiB && std::has_single_bit(bytes - kPageBytes)) return 2;
  return bytes >= 4 * kRaceAllocUnit && bytes % kRaceAllocUnit == 0 ? 3 : 0;
}

std::optional<Owner> owner_by_vma_name(std::string_view name) {
  constexpr std::string_view kGo = "[anon: Go: ";
  if (name.starts_with(kGo)) {
    std::string_view what = name.substr(kGo.size());
    what = what.substr(0, what.rfind(']'));
    if (what == "heap" || what == "heap reservation" || what == "user arena chunk" || what == "used" ||
        what == "unused") {
      return Owner::kGoHeapUnclassified;
    }
    if (what == "OS thread stack") return Owner::kThreadStacks;
    if (what == "goroutine stack (system)") return Owner::kGoStacks;
    if (what.starts_with("profiler")) return Owner::kGoRuntimeProfiler;
    return Owner::kGoRuntimeMetadata;
  }
  if (name.starts_with("[anon: glibc: pthread stack")) return Owner::kThreadStacks;
  if (name.starts_with("[anon: glibc: malloc")) return Owner::kCHeapUnclassified;
  if (name == "[heap]") return Owner::kCHeapUnclassified;
  if (name == "[stack]") return Owner::kMainStack;
  return std::nullopt;
}

std::string_view without_deleted(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.size() > kDeleted.size() && path.substr(path.size() - kDeleted.size()) == kDeleted) {
    path.remove_suffix(kDeleted.size());
  }
  return path;
}

}  // namespace memwhy::explain
