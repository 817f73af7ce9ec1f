// SPDX-License-Identifier: Apache-2.0
#include "explain/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "explain/cells.h"

namespace memwhy::explain {
namespace {

using timeline::PageGroup;

// What a scan yields besides its cells: the kinds of its pages, and how good the evidence is.
void add_scan(const Evidence& evidence, Ledger& ledger) {
  for (const PageGroup& group : evidence.scan.groups) {
    ledger.lost_stack_bytes += group.stack_lost_pages * kPageBytes;
    ledger.stacks[static_cast<size_t>(StackTrust::kLost)] += group.stack_lost_pages * kPageBytes;
    const bool mapped = group.vma < evidence.vmas.size();
    const events::Vma* vma = mapped ? &evidence.vmas[group.vma] : nullptr;
    const bool cache = mapped && (vma->shared || group.file_page);  // not an anonymous page
    const bool shmem = mapped && (vma->shmem || (vma->shared && vma->inode == 0));
    (!cache ? ledger.rss.anon : shmem ? ledger.rss.shmem : ledger.rss.file) += group.bytes();
  }
  ledger.rss.bytes = evidence.scan.resident_pages * kPageBytes;
  ledger.stale_bytes = evidence.scan.stale_pages * kPageBytes;
  ledger.scan_complete = evidence.scan.complete;
}

// What only the full set of cells shows, before some lose their mapping and their stack.
void add_whole_cells(const std::vector<ScanCell>& cells, Stacks& stacks, Ledger& ledger) {
  std::set<std::pair<Owner, uint32_t>> seen;
  for (const ScanCell& each : cells) {
    const StackFacts facts = stacks.facts(each.stack);
    if (facts.truncated) ledger.truncated_stack_bytes += each.cell.bytes();
    if (each.stack != StackId::kNone) ledger.stacks[static_cast<size_t>(facts.trust)] += each.cell.bytes();
    if (each.vma != kNoIndex && seen.emplace(each.cell.owner, each.vma).second)
      ++of(ledger.mappings, each.cell.owner);
  }
}

std::vector<LedgerLine> lines_of(const std::vector<Cell>& cells) {
  std::vector<LedgerLine> lines(kOwnerCount);
  for (size_t i = 0; i < kOwnerCount; ++i) lines[i].owner = static_cast<Owner>(i);
  for (const Cell& cell : cells) {
    LedgerLine& line = lines[static_cast<size_t>(cell.owner)];
    line.bytes += cell.bytes();
    line.huge_bytes += cell.huge_pages * kPageBytes;
    line.lazy_bytes += cell.lazy_pages * kPageBytes;
    for (size_t i = 0; i < line.ages.size(); ++i) line.ages[i] += cell.older_pages[i] * kPageBytes;
  }
  return lines;
}

// A line of pages that hold live and dead things becomes lines by the state of their slots; ages are known of pages, not of
// slots.
void part_lines(const Evidence& evidence, const Owners& owners, std::vector<LedgerLine>& lines,
                Ledger& ledger, Attribution& attribution) {
  for (const RuntimeUses::Parted& part : owners.uses().part(evidence.scan, ledger.bytes)) {
    for (const Owner owner : {part.live, part.slots.dead, part.slots.free}) {
      LedgerLine& line = lines[static_cast<size_t>(owner)];
      line.ages_known = false;
      line.ages = {};
      line.lazy_bytes = 0;
      if (owner != part.live) line.huge_bytes = 0;
    }
    lines[static_cast<size_t>(part.live)].in_heap_profile = part.slots.in_heap_profile;
    if (part.rest) lines[static_cast<size_t>(part.slots.rest)].ages_known = false;
    const OwnerName& name = owners.table().name(part.live);
    attribution.parted.push_back({part.live, part.slots.dead, part.slots.free, part.slots.rest,
                                  fmt::format("{}.{}", name.family, part.slots.whole),
                                  std::string(part.slots.whole)});
  }
  for (size_t i = 0; i < kOwnerCount; ++i) {
    lines[i].bytes = ledger.bytes[i];
    // Of pages that hold both, what is live has most.
    lines[i].huge_bytes = std::min(lines[i].huge_bytes, lines[i].bytes);
  }
}

void name_lines(const OwnerTable& table, std::vector<LedgerLine>& lines, Attribution& attribution) {
  for (size_t i = kBuiltInOwners; i < table.owners(); ++i) {
    const OwnerName& name = table.name(static_cast<Owner>(i));
    lines[i].added_id = name.id;
    lines[i].added_label = name.label;
    attribution.added_ids.emplace_back(name.id);
  }
}

// The lines among which slots divide pages count as one.
Owner whole_of(const Attribution& attribution, Owner owner) {
  for (const PartedPages& each : attribution.parted)
    if (owner == each.live || owner == each.dead || owner == each.free || owner == each.rest)
      return each.live;
  return owner;
}

}  // namespace

void check_sums(const Attribution& attribution, const std::vector<LedgerLine>& lines, uint64_t rss_bytes) {
  OwnerBytes of_cells = {}, of_lines = {};
  uint64_t cells = 0, all = 0;
  for (const Cell& cell : attribution.cells) {
    of(of_cells, whole_of(attribution, cell.owner)) += cell.bytes();
    cells += cell.bytes();
  }
  for (const LedgerLine& line : lines) {
    of(of_lines, whole_of(attribution, line.owner)) += line.bytes;
    all += line.bytes;
  }
  if (cells != rss_bytes || all != rss_bytes)
    throw std::logic_error(
        fmt::format("cells of {} bytes and lines of {} for a scan of {}", cells, all, rss_bytes));
  for (size_t i = 0; i < kOwnerCount; ++i) {
    if (of_cells[i] == of_lines[i]) continue;
    throw std::logic_error(fmt::format("cells of {} bytes for {} of {}", of_cells[i], of_lines[i],
                                       attribution.cell_id(static_cast<Owner>(i))));
  }
}

Ledger make_ledger(const Evidence& evidence, const Owners& owners, Stacks& stacks, StackTable& table,
                   Attribution& attribution, size_t most_cells) {
  Ledger ledger;
  ledger.table = &owners.table();
  add_scan(evidence, ledger);
  std::vector<ScanCell> cells = cells_of(evidence, owners, stacks);
  add_whole_cells(cells, stacks, ledger);
  limit_cells(cells, most_cells);
  attribution.time = evidence.scan.time;
  put_cells(cells, evidence, owners, stacks, table, attribution);
  std::vector<LedgerLine> lines = lines_of(attribution.cells);
  for (const LedgerLine& line : lines) of(ledger.bytes, line.owner) = line.bytes;
  part_lines(evidence, owners, lines, ledger, attribution);
  name_lines(owners.table(), lines, attribution);
  std::erase_if(lines, [](const LedgerLine& line) { return line.bytes == 0; });
  std::stable_sort(lines.begin(), lines.end(),
                   [](const LedgerLine& a, const LedgerLine& b) { return a.bytes > b.bytes; });
  ledger.lines = std::move(lines);
  check_sums(attribution, ledger.lines, ledger.rss.bytes);
  return ledger;
}

}  // namespace memwhy::explain
