// SPDX-License-Identifier: Apache-2.0
#include "explain/cells.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "explain/mapping.h"

namespace memwhy::explain {
namespace {

using timeline::How;
using timeline::PageGroup;

auto key_of(const ScanCell& each) {
  return std::tuple(each.cell.owner, each.cell.rest, each.vma, each.stack, each.cell.how);
}

// By owner, heaviest first; ties by what they are, so that the order is the same each time.
bool heavier(const ScanCell& a, const ScanCell& b) {
  return std::tuple(b.cell.pages, key_of(a)) < std::tuple(a.cell.pages, key_of(b));
}

void add(Cell& into, const Cell& more) {
  into.pages += more.pages;
  into.huge_pages += more.huge_pages;
  into.lazy_pages += more.lazy_pages;
  for (size_t i = 0; i < into.older_pages.size(); ++i) into.older_pages[i] += more.older_pages[i];
  into.oldest = std::min(into.oldest, more.oldest);
}

void merge(std::vector<ScanCell>& cells) {
  std::sort(cells.begin(), cells.end(),
            [](const ScanCell& a, const ScanCell& b) { return key_of(a) < key_of(b); });
  size_t kept = 0;
  for (const ScanCell& each : cells) {
    if (kept > 0 && key_of(cells[kept - 1]) == key_of(each)) {
      add(cells[kept - 1].cell, each.cell);
    } else {
      cells[kept++] = each;
    }
  }
  cells.resize(kept);
}

void to_rest(ScanCell& each) {
  each.cell.rest = true;
  each.cell.how = How::kUnknown;
  each.vma = each.file = kNoIndex;
  each.stack = StackId::kNone;
}

// What a light cell keeps: its stack, or its file.
void coarsen(ScanCell& each) {
  if (each.file != kNoIndex) {
    each.vma = each.file;
    each.stack = StackId::kNone;
  } else if (each.stack != StackId::kNone) {
    each.vma = kNoIndex;
  } else {
    to_rest(each);
  }
}

bool says_something(const PageGroup& group) {
  return group.stack != StackId::kNone && group.stack != StackId::kLost && group.how != How::kBeforeAttach &&
         group.how != How::kUnknown;
}

}  // namespace

std::vector<ScanCell> cells_of(const Evidence& evidence, const Owners& owners, Stacks& stacks) {
  const Mappings mappings(evidence.vmas);
  std::unordered_map<std::string_view, uint32_t> files;
  std::vector<ScanCell> out;
  for (const PageGroup& group : evidence.scan.groups) {
    ScanCell& each = out.emplace_back();
    Cell& cell = each.cell;
    cell.owner = owners.owner_of(group, stacks);
    cell.how = group.how;
    cell.pages = group.pages;
    cell.huge_pages = group.huge_pages;
    cell.lazy_pages = group.lazy_pages;
    cell.older_pages = group.older_pages;
    cell.oldest = group.oldest;
    each.vma = group.vma < evidence.vmas.size() ? group.vma : kNoIndex;
    if (says_something(group)) each.stack = group.stack;
    if (each.vma == kNoIndex || !by_file(cell.owner)) continue;
    const events::Vma* file = mappings.bss_of(each.vma);
    if (file == nullptr) file = &evidence.vmas[each.vma];
    each.file =
        files.try_emplace(file->name, static_cast<uint32_t>(file - evidence.vmas.data())).first->second;
  }
  merge(out);
  return out;
}

void limit_cells(std::vector<ScanCell>& cells, size_t most) {
  if (cells.size() <= most) return;
  const size_t room = most - kOwnerCount, whole = room / 2;  // no more than one rest of each owner
  std::sort(cells.begin(), cells.end(), heavier);
  std::vector<ScanCell> light(cells.begin() + static_cast<std::ptrdiff_t>(whole), cells.end());
  cells.resize(whole);
  for (ScanCell& each : light) coarsen(each);
  merge(light);
  std::sort(light.begin(), light.end(), heavier);
  for (size_t i = room - whole; i < light.size(); ++i) to_rest(light[i]);
  merge(light);
  cells.insert(cells.end(), light.begin(), light.end());
  merge(cells);
}

void put_cells(const std::vector<ScanCell>& cells, const Evidence& evidence, const Owners& owners,
               Stacks& stacks, StackTable& table, Attribution& out) {
  std::map<uint32_t, uint32_t> mappings;  // in order of address, and stacks in order of their ids
  std::map<StackId, uint32_t> numbers;
  for (const ScanCell& each : cells) {
    if (each.vma != kNoIndex) mappings[each.vma] = kNoIndex;
    if (each.stack != StackId::kNone) numbers[each.stack] = kNoIndex;
  }
  const Mappings neighbours(evidence.vmas);
  for (auto& [vma, index] : mappings) {
    index = static_cast<uint32_t>(out.mappings.size());
    Mapping& mapping = out.mappings.emplace_back();
    mapping.vma = evidence.vmas[vma];
    mapping.by_shape = owners.vmas()[vma].basis == Basis::kShape;
    const events::Vma* file = neighbours.bss_of(vma);
    mapping.file = file != nullptr ? file->name : mapping.vma.inode != 0 ? mapping.vma.name : "";
  }
  for (auto& [stack, index] : numbers) {
    const Stacks::Chain chain = stacks.chain(stack);
    index = table.add(chain.frames, stacks.facts(stack), chain.certain);
  }
  for (const ScanCell& each : cells) {
    Cell& cell = out.cells.emplace_back(each.cell);
    if (each.vma != kNoIndex) cell.mapping = mappings[each.vma];
    if (each.stack != StackId::kNone) cell.stack = numbers[each.stack];
  }
  std::stable_sort(out.cells.begin(), out.cells.end(), [](const Cell& a, const Cell& b) {
    return std::tuple(a.owner, a.rest, b.pages) < std::tuple(b.owner, b.rest, a.pages);
  });
}

}  // namespace memwhy::explain
