// SPDX-License-Identifier: Apache-2.0
#include "symbols/frame_tables.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "symbols/cfi_program.h"
#include "symbols/inflated_section.h"

namespace memwhy::symbols {
namespace {

using Kind = UnwindRule::Kind;

constexpr uint64_t kGapBytes = 2048;  // of code without a table, on each side of the address
constexpr uint64_t kMostFunctionBytes = uint64_t{1} << 31;  // what a table may claim

// Code that another frame returns to without having called it.
struct Stub {
  std::string_view code;
  Kind kind;
};
constexpr std::array kStubs = {
    Stub{{"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9}, Kind::kSignal},  // mov $15,%rax; syscall: rt_sigreturn
    Stub{{"\xb8\x0f\x00\x00\x00\x0f\x05", 7}, Kind::kSignal},          // mov $15,%eax; syscall
    // glibc's __start_context: mov %rbx,%rsp; mov (%rsp),%rdi; test %rdi,%rdi
    Stub{{"\x48\x89\xdc\x48\x8b\x3c\x24\x48\x85\xff", 10}, Kind::kEnd},
};
constexpr uint64_t kLongestStub = 10;

constexpr uint64_t kMostStartBytes = 128;
// jmp *%r12; hlt; nops as the assembler pads with
constexpr std::array<std::string_view, 4> kEntryEnds = {"\x41\xff\xe4", "\xf4", "\x66\x90", "\x0f\x1f"};

constexpr uint64_t kLongFunctionBytes = 16384;
constexpr std::string_view kMakesFrame = "\x55\x48\x89\xe5";  // push %rbp; mov %rsp,%rbp
constexpr std::string_view kPadding = "\xcc\xcc";
// The same, and push of a number that says what kind of frame it is: V8's builtin functions.
constexpr std::string_view kMakesTypedFrame = "\x55\x48\x89\xe5\x6a";
constexpr size_t kTypedFrames = 4;  // from so many on it is their code

const Stub* stub_at(std::string_view code) {
  const auto found =
      std::ranges::find_if(kStubs, [&](const Stub& stub) { return code.starts_with(stub.code); });
  return found == kStubs.end() ? nullptr : &*found;
}

// Rows with another rule for the bytes of [from, to), of one of the two kinds.
void overlay(std::vector<RuleRow>& rows, uint64_t begin, FileRange at, const UnwindRule& rule,
             bool after_call) {
  std::vector<RuleRow> out;
  for (const RuleRow& row : rows) {
    const auto push = [&](uint64_t end, bool inside) {
      if (end <= begin) return;
      RuleRow piece = row;
      piece.end = end;
      if (inside) (after_call ? piece.after_call : piece.at) = rule;
      out.push_back(piece);
      begin = end;
    };
    push(std::min(row.end, at.begin), false);
    push(std::min(row.end, at.end), begin >= at.begin);
    push(row.end, false);
  }
  rows = std::move(out);
}

// Of both kinds, without registers that matter.
void overlay_both(FunctionRules& rules, FileRange at, Kind kind) {
  for (const bool after_call : {false, true}) overlay(rules.rows, rules.begin, at, {kind, 0, 0}, after_call);
}

// The stub that begins at `offset`: its bytes, and the return address that leads to it (the byte before it).
void mark_stub(FunctionRules& rules, uint64_t offset, const Stub& stub) {
  const UnwindRule rule{stub.kind, 0, 0};
  if (offset > rules.begin && offset <= rules.end)
    overlay(rules.rows, rules.begin, {offset - 1, offset}, rule, true);
  if (offset < rules.begin || offset >= rules.end) return;
  if (stub.kind == Kind::kSignal)
    overlay(rules.rows, rules.begin, {offset, offset + stub.code.size()}, rule, false);
  // What a coroutine begins with calls the next one, and has no caller then either.
  const bool knows_its_end = rules.why != FunctionRules::Why::kNoEntry;
  if (stub.kind == Kind::kEnd && knows_its_end) overlay_both(rules, {offset, rules.end}, Kind::kEnd);
}

std::string read_code(BlockCache& source, uint64_t from, uint64_t to) {
  to = std::min(to, source.size());
  std::string code(to > from ? to - from : 0, '\0');
  if (code.empty() || !source.read_at(from, std::as_writable_bytes(std::span(code)))) return {};
  return code;
}

// Where a stub begins: with a function of its own, or one byte into it, or after one.
void mark_stubs_of(FunctionRules& rules, BlockCache& source) {
  for (const uint64_t offset : {rules.begin, rules.begin + 1, rules.end})
    if (const Stub* stub = stub_at(read_code(source, offset, offset + kLongestStub)))
      mark_stub(rules, offset, *stub);
}

void mark_all_stubs(FunctionRules& rules, BlockCache& source) {
  const std::string code = read_code(source, rules.begin, rules.end + kLongestStub);
  for (const Stub& stub : kStubs) {
    const std::string_view all = code;
    for (size_t at = all.find(stub.code); at != std::string_view::npos; at = all.find(stub.code, at + 1)) {
      if (rules.rows.size() + 8 > FunctionRules::kMostRows) return;
      mark_stub(rules, rules.begin + at, stub);
    }
  }
}

// Where the kernel, or the loader, enters a program: in glibc's loader and in musl no table has it. It has no caller, up to
// where it jumps away or ends in padding.
void mark_entry(FunctionRules& rules, BlockCache& source, uint64_t entry) {
  if (entry < rules.begin || entry >= rules.end) return;
  const std::string code = read_code(source, entry, std::min(rules.end, entry + kMostStartBytes));
  size_t bytes = code.size();
  for (const std::string_view end : kEntryEnds) bytes = std::min(bytes, code.find(end));
  overlay_both(rules, {entry, entry + bytes}, Kind::kEnd);
}

// What the loader calls first of a library (_init) has no table either. That it begins is where most libraries are met for the first
// time: the page is fetched for its first instruction, when nothing is pushed yet.
void mark_first_call(FunctionRules& rules, const ElfFile& elf) {
  const Section* const init = elf.section(".init");
  if (init == nullptr || init->type != SHT_PROGBITS || (init->flags & SHF_EXECINSTR) == 0) return;
  overlay(rules.rows, rules.begin, {init->offset, init->offset + 1}, {Kind::kStack, 0, 8}, false);
}

size_t count(std::string_view code, std::string_view what) {
  size_t n = 0;
  for (size_t at = code.find(what); at != std::string_view::npos; at = code.find(what, at + what.size())) ++n;
  return n;
}

// Code of a compiler that writes no tables and keeps frame pointers, as the builtin functions of V8: from where a function has
// made its frame to the padding after it. V8 has padding within functions too, and makes a frame before each call, so that return
// addresses have one everywhere.
void mark_kept_frames(FunctionRules& rules, BlockCache& source) {
  const uint64_t from = rules.begin - std::min(rules.begin, kLongFunctionBytes);
  const std::string code = read_code(source, from, rules.end);
  for (size_t at = code.find(kMakesFrame); at != std::string::npos;) {
    const uint64_t begin = from + at + kMakesFrame.size();
    const uint64_t end = std::min<uint64_t>(code.find(kPadding, at), code.size()) + from;
    if (end > rules.begin && rules.rows.size() + 8 <= FunctionRules::kMostRows)
      overlay_both(rules, {std::max(begin, rules.begin), end}, Kind::kKept);
    at = code.find(kMakesFrame, end - from);
  }
  if (count(code, kMakesTypedFrame) >= kTypedFrames)
    overlay(rules.rows, rules.begin, {rules.begin, rules.end}, {Kind::kKept, 0, 0}, true);
}

// Go's own DWARF does not describe the frame pointer. A function without a frame leaves it alone, one with a frame has saved
// it at its top.
void as_go_means(std::vector<RuleRow>& rows) {
  for (RuleRow& row : rows) {
    const bool no_frame = row.at == UnwindRule{Kind::kStack, 0, 8};
    if (row.at.kind == Kind::kStack && !no_frame) row.at = kFramePointerRule;
    if (row.after_call.kind == Kind::kStack) row.after_call = kFramePointerRule;
  }
}

std::optional<CfiHeaderPlace> header_place(const ElfFile& elf) {
  const std::optional<Segment> segment = elf.frame_header();
  if (!segment) return std::nullopt;
  return CfiHeaderPlace{segment->offset, segment->file_bytes, segment->vaddr};
}

std::optional<CfiPlace> eh_frame_place(BlockCache& source, const ElfFile& elf) {
  const Section* section = elf.section(".eh_frame");
  const bool in_file = section != nullptr && section->type != SHT_NOBITS && section->offset < source.size();
  if (in_file)
    return CfiPlace{section->offset, std::min(section->bytes, source.size() - section->offset),
                    section->vaddr};
  const std::optional<CfiHeaderPlace> header = header_place(elf);
  const auto vaddr = header ? CfiSection::section_vaddr(source, *header) : std::nullopt;
  if (!vaddr) return std::nullopt;
  for (const Segment& segment : elf.segments()) {
    if (*vaddr < segment.vaddr || *vaddr - segment.vaddr >= segment.file_bytes) continue;
    const uint64_t within = *vaddr - segment.vaddr, offset = segment.offset + within;
    if (offset >= source.size()) return std::nullopt;
    return CfiPlace{offset, std::min(segment.file_bytes - within, source.size() - offset), *vaddr};
  }
  return std::nullopt;
}

}  // namespace

struct FrameTables::Found {
  AddressRange range{0, ~uint64_t{0}};  // of the function, or of the gap around the address
  std::vector<RuleRow> rows;            // by address; empty: a gap
};

FrameTables FrameTables::find(BlockCache& source, const ElfFile& elf) {
  FrameTables tables;
  if (const auto place = eh_frame_place(source, elf)) {
    Part part{CfiSection(*place), nullptr};
    if (const auto header = header_place(elf)) part.section.use_header(source, *header);
    tables.parts_.push_back(std::move(part));
  }
  const Section* debug = elf.section(".debug_frame");
  if (debug == nullptr || debug->type == SHT_NOBITS || debug->offset >= source.size()) return tables;
  if ((debug->flags & SHF_COMPRESSED) == 0) {
    const uint64_t bytes = std::min(debug->bytes, source.size() - debug->offset);
    tables.parts_.push_back({CfiSection(CfiPlace{debug->offset, bytes, 0, true}), nullptr});
  } else if (auto inflated = inflate_section(source, *debug, source.budget())) {
    tables.parts_.push_back({CfiSection(CfiPlace{0, inflated->size(), 0, true}), std::move(inflated)});
  }
  return tables;
}

bool FrameTables::needs_index() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.section.needs_index(); });
}

void FrameTables::make_index(BlockCache& source) {
  for (Part& part : parts_)
    if (part.section.needs_index()) part.section.make_index(bytes_of(part, source));
}

size_t FrameTables::memory_bytes() const {
  size_t bytes = 0;
  for (const Part& part : parts_)
    bytes += part.section.memory_bytes() + (part.inflated ? part.inflated->size() : 0);
  return bytes;
}

void FrameTables::find_table(BlockCache& source, Part& part, uint64_t vaddr, bool is_go, Found& found) {
  const CfiSection::Answer answer = part.section.find(bytes_of(part, source), vaddr);
  if (!answer.function) {
    found.range = {std::max(found.range.start, answer.gap_begin), std::min(found.range.end, answer.gap_end)};
    return;
  }
  CfiRows made = run_cfi_program(*answer.function, vaddr, source.budget());
  if (is_go && part.section.debug()) as_go_means(made.rows);
  found.range = made.range;
  found.rows = std::move(made.rows);
}

std::optional<AddressRange> FrameTables::function(BlockCache& source, uint64_t vaddr) {
  for (Part& part : parts_)
    if (const auto found = part.section.find(bytes_of(part, source), vaddr).function) return found->range;
  return std::nullopt;
}

FunctionRules FrameTables::rules(BlockCache& source, const ElfFile& elf, const GoLineTable* go,
                                 uint64_t file_offset) {
  FunctionRules rules;
  const std::optional<uint64_t> vaddr = elf.vaddr_of(file_offset);
  rules.begin = file_offset;
  rules.end = file_offset + 1;
  rules.rows = {{rules.end, {Kind::kStop, 0, 0}, {Kind::kStop, 0, 0}}};
  if (!vaddr) return rules;
  Found found;
  if (auto made = go != nullptr ? go->frame_rows(source, elf, *vaddr) : std::nullopt)
    found = {made->range, std::move(made->rows)};
  for (Part& part : parts_)
    if (found.rows.empty()) find_table(source, part, *vaddr, go != nullptr, found);
  if (source.budget().used_up()) return rules;

  const bool known = !found.rows.empty();
  if (!known) {
    const AddressRange near{*vaddr - std::min(*vaddr, kGapBytes), *vaddr + kGapBytes};
    found.range = {std::max(found.range.start, near.start), std::min(found.range.end, near.end)};
    found.rows = {{found.range.end, kFramePointerRule, kFramePointerRule}};
  }
  FunctionRules::keep_around(found.rows, &found.range, *vaddr);
  // From addresses to offsets. Claims before the beginning of the file or too far away are dropped.
  const uint64_t below = *vaddr - found.range.start, above = found.range.end - *vaddr;
  if (!found.range.contains(*vaddr) || below > file_offset || below > kMostFunctionBytes ||
      above > kMostFunctionBytes)
    return rules;
  rules.begin = file_offset - below;
  rules.end = file_offset + above;
  for (RuleRow& row : found.rows) row.end = row.end - *vaddr + file_offset;
  rules.rows = std::move(found.rows);
  if (known) {
    mark_stubs_of(rules, source);
  } else {
    rules.why = FunctionRules::Why::kNoEntry;
    mark_kept_frames(rules, source);
    mark_first_call(rules, elf);
    mark_entry(rules, source, elf.entry() - *vaddr + file_offset);
    mark_all_stubs(rules, source);
  }
  AddressRange range{rules.begin, rules.end};
  FunctionRules::keep_around(rules.rows, &range, file_offset);
  rules.begin = range.start;
  rules.end = range.end;
  const RuleRow* row = rules.row(file_offset);
  if (known && row != nullptr && row->at.kind != Kind::kStop) rules.why = FunctionRules::Why::kRule;
  return rules;
}

}  // namespace memwhy::symbols
