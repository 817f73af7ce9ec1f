// SPDX-License-Identifier: Apache-2.0
#include "symbols/go_line_table.h"

#include <algorithm>
#include <array>

#include "symbols/go_module.h"
#include "symbols/go_sequence.h"

namespace memwhy::symbols {
namespace {

constexpr uint32_t kMagic116 = 0xfffffffa, kMagic118 = 0xfffffff0, kMagic120 = 0xfffffff1;
constexpr uint64_t kMaxFunctions = 16 << 20;
constexpr size_t kMaxHeaders = 1024;  // read in a search
constexpr size_t kMaxCandidates =
    16;                             // of these, those that are tried: each costs a search for its moduledata
constexpr size_t kMaxFrames = 128;  // at one address, inlined ones counted
constexpr size_t kNameBytes = 4096;

// How many functions with inlined calls must agree that gofunc is right, and how many are read for them.
constexpr size_t kTreesToCheck = 64;
constexpr uint64_t kFunctionsToCheck = 8192;

constexpr uint32_t kPcdataInlineIndex = 2, kFuncdataInlineTree = 3;

// The first word of a table: magic, two zero bytes, quantum, bytes of a pointer.
bool is_header(uint64_t word) {
  const auto magic = static_cast<uint32_t>(word);
  if (magic != kMagic116 && magic != kMagic118 && magic != kMagic120) return false;
  const uint64_t quantum = word >> 48 & 0xff;
  return (word >> 32 & 0xffff) == 0 && word >> 56 == 8 && (quantum == 1 || quantum == 2 || quantum == 4);
}

// Type arguments are shown as the runtime shows them: main.Map[go.shape.int,go.shape.string] ->
// main.Map[...]. (type:.eq.[4]string has none.)
std::string without_type_arguments(std::string name) {
  if (name.starts_with("type:") || name.starts_with("type..")) return name;
  const size_t open = name.find('['), close = name.rfind(']');
  if (open == std::string::npos || close == std::string::npos || close <= open) return name;
  return name.replace(open, close - open + 1, "[...]");
}

}  // namespace

std::optional<GoLineTable> GoLineTable::find(ByteSource& source, const ElfFile& elf, bool is_go,
                                             bool* left_out) {
  for (const char* name : {".gopclntab", ".data.rel.ro.gopclntab"}) {
    const Section* section = elf.section(name);
    if (section == nullptr || section->bytes > source.size()) continue;
    auto table = at(source, elf, section->offset, section->offset + section->bytes);
    if (table && table->locate(source, elf)) return table;
  }
  // GNU ld puts it among other read-only data when it links a PIE; and the section table may be gone.
  return is_go ? search(source, elf, left_out) : std::nullopt;
}

// One pass over what is mapped, whatever the segments are, for all releases.
std::optional<GoLineTable> GoLineTable::search(ByteSource& source, const ElfFile& elf, bool* left_out) {
  size_t headers = 0, candidates = 0;
  for (const FileRange& range : elf.ranges(ElfFile::Which::kAll)) {
    std::optional<GoLineTable> found;
    const auto try_it = [&](uint64_t offset, uint64_t) {
      const bool too_many = headers == kMaxHeaders || candidates == kMaxCandidates;
      if (too_many && left_out != nullptr) *left_out = true;
      if (too_many) return false;
      ++headers;
      auto table = at(source, elf, offset, range.end);
      if (!table) return true;
      ++candidates;
      if (table->locate(source, elf)) found = std::move(table);
      return !found;
    };
    for_each_word(source, range, is_header, try_it);
    if (found) return found;
  }
  return std::nullopt;
}

std::optional<GoLineTable> GoLineTable::at(ByteSource& source, const ElfFile& elf, uint64_t offset,
                                           uint64_t end) {
  const std::optional<uint64_t> start = load<uint64_t>(source, offset);
  end = std::min(end, source.size());
  if (!start || !is_header(*start) || offset >= end) return std::nullopt;
  const auto magic = static_cast<uint32_t>(*start);
  GoLineTable table;
  table.header_at_ = offset;
  table.quantum_ = static_cast<uint8_t>(*start >> 48);
  table.release_ = magic == kMagic116   ? Release::kGo116
                   : magic == kMagic118 ? Release::kGo118
                                        : Release::kGo120;
  // functions, files, [text,] then the offsets of names, units, files, pctab, functions
  const bool has_text = table.release_ != Release::kGo116;
  const auto words = load_array<uint64_t>(source, offset + 8, has_text ? 8 : 7);
  if (!words) return std::nullopt;
  table.function_count_ = (*words)[0];
  table.header_text_ = has_text ? (*words)[2] : 0;
  const std::span<const uint64_t> starts = std::span(*words).subspan(has_text ? 3 : 2, 5);
  uint64_t before = 0;
  for (uint64_t part : starts) {
    if (part <= before || part >= end - offset) return std::nullopt;
    before = part;
  }
  table.names_ = {offset + starts[0], offset + starts[1]};
  table.units_ = {offset + starts[1], offset + starts[2]};
  table.files_ = {offset + starts[2], offset + starts[3]};
  table.pctab_ = {offset + starts[3], offset + starts[4]};
  table.functions_ = {offset + starts[4], end};
  if (table.function_count_ == 0 || table.function_count_ > kMaxFunctions ||
      table.functions_.bytes() / table.entry_bytes() <= table.function_count_) {
    return std::nullopt;
  }
  for (const Segment& segment : elf.segments()) {
    if (offset >= segment.offset && offset - segment.offset < segment.file_bytes) {
      table.vaddr_ = segment.vaddr + (offset - segment.offset);
    }
  }
  table.segments_ = elf.segments();
  if (table.vaddr_ == 0) return std::nullopt;
  return table;
}

// Establishes text_ and gofunc_. Every way is verified: text by the first and the last function, gofunc by
// the trees.
bool GoLineTable::locate(ByteSource& source, const ElfFile& elf) {
  text_ = 0;
  const auto first = entry_pc(source, 0), last = entry_pc(source, function_count_);
  if (!first || !last || *first >= *last) return false;
  const bool relative = release_ != Release::kGo116;
  for (const GoModule& module : find_go_modules(source, elf, vaddr_, names_.begin - header_at_)) {
    const uint64_t text = relative ? module.text : 0;
    if (text + *first != module.min_pc || text + *last != module.max_pc) continue;
    text_ = text;
    for (uint64_t candidate : module.gofunc_candidates) {
      if (!relative || !trees_are_at(source, candidate)) continue;
      gofunc_ = candidate;
      break;
    }
    return true;
  }
  if (!relative) return true;
  // No moduledata. The program's entry point must then be the runtime's.
  const Section* text_section = elf.section(".text");
  for (const uint64_t text : {header_text_, text_section != nullptr ? text_section->vaddr : 0}) {
    text_ = text;
    const auto index = find_function(source, elf.entry());
    const auto start = index && text != 0 ? function(source, *index) : std::nullopt;
    if (start && name_at(source, start->name).starts_with("_rt0_")) return true;
  }
  return false;
}

AddressRange GoLineTable::code(ByteSource& source) const {
  const auto first = entry_pc(source, 0), last = entry_pc(source, function_count_);
  return first && last && *first < *last ? AddressRange{*first, *last} : AddressRange{};
}

std::optional<uint64_t> GoLineTable::entry_pc(ByteSource& source, uint64_t index) const {
  const uint64_t offset = functions_.begin + index * entry_bytes();
  if (index > function_count_) return std::nullopt;
  if (release_ == Release::kGo116) return load<uint64_t>(source, offset);
  const auto relative = load<uint32_t>(source, offset);
  if (!relative) return std::nullopt;
  return text_ + *relative;
}

std::optional<uint64_t> GoLineTable::find_function(ByteSource& source, uint64_t vaddr) const {
  uint64_t low = 0, high = function_count_;  // the answer is in [low, high) if there is one
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const auto pc = entry_pc(source, middle);
    if (!pc) return std::nullopt;
    (*pc <= vaddr ? low : high) = middle;
  }
  const auto begin = entry_pc(source, low), end = entry_pc(source, low + 1);
  if (!begin || !end || vaddr < *begin || vaddr >= *end) return std::nullopt;
  return low;
}

// struct _func: entry (8 bytes before 1.18), name, args, deferreturn, pcsp, pcfile, pcln, npcdata, unit,
// [start line, 1.20 on,] function id, flags, padding, nfuncdata; then npcdata and nfuncdata words.
std::optional<GoLineTable::Function> GoLineTable::function(ByteSource& source, uint64_t index) const {
  const bool wide = release_ == Release::kGo116;
  const uint64_t slot = functions_.begin + index * entry_bytes();
  const auto entry = entry_pc(source, index), end = entry_pc(source, index + 1);
  const auto record = wide ? load<uint64_t>(source, slot + 8) : [&]() -> std::optional<uint64_t> {
    const auto narrow = load<uint32_t>(source, slot + 4);
    return narrow ? std::optional<uint64_t>(*narrow) : std::nullopt;
  }();
  if (!entry || !end || !record || *record >= functions_.bytes()) return std::nullopt;
  const uint64_t fields_at = functions_.begin + *record + (wide ? 8 : 4);
  const auto fields = load<std::array<uint32_t, 8>>(source, fields_at);
  const uint64_t tail = fields_at + 32 + (release_ == Release::kGo120 ? 4 : 0);
  const auto funcdata_count = load<uint8_t>(source, tail + 3);
  if (!fields || !funcdata_count) return std::nullopt;
  Function function;
  function.entry = *entry;
  function.end = *end;
  function.name = (*fields)[0];
  function.pcsp = (*fields)[3];
  function.flags_at = tail + 1;
  function.pcfile = (*fields)[4];
  function.pcln = (*fields)[5];
  const uint64_t pcdata_count = (*fields)[6];
  function.unit = (*fields)[7];
  const uint64_t pcdata_at = tail + 4;
  if (pcdata_count <= kPcdataInlineIndex || *funcdata_count <= kFuncdataInlineTree) return function;
  if (pcdata_count > functions_.bytes() / 4) return std::nullopt;
  function.inline_index = load<uint32_t>(source, pcdata_at + 4 * kPcdataInlineIndex).value_or(0);
  uint64_t funcdata_at = pcdata_at + 4 * pcdata_count;
  uint64_t tree_vaddr = 0;
  if (wide) {
    // Pointers, aligned in the address space.
    funcdata_at += (vaddr_ + (funcdata_at - header_at_)) % 8 != 0 ? 4 : 0;
    tree_vaddr = load<uint64_t>(source, funcdata_at + 8 * kFuncdataInlineTree).value_or(0);
  } else {
    const uint32_t offset = load<uint32_t>(source, funcdata_at + 4 * kFuncdataInlineTree).value_or(~0u);
    if (offset != ~0u && gofunc_ != 0) tree_vaddr = gofunc_ + offset;
  }
  for (const Segment& segment : segments_) {
    if (tree_vaddr >= segment.vaddr && tree_vaddr - segment.vaddr < segment.file_bytes) {
      function.inline_tree = segment.offset + (tree_vaddr - segment.vaddr);
    }
  }
  return function;
}

std::string GoLineTable::name_at(ByteSource& source, uint32_t offset) const {
  if (offset >= names_.bytes()) return "";
  return without_type_arguments(
      load_string(source, names_.begin + offset, names_.end, kNameBytes).value_or(""));
}

// The value of a sequence at a pc: -1 from the entry on, then each pair moves the value and the pc up to
// which it holds. There are no more pairs than instructions.
int32_t GoLineTable::value_at(ByteSource& source, uint32_t sequence, const Function& in,
                              uint64_t vaddr) const {
  if (sequence == 0 || sequence >= pctab_.bytes()) return -1;
  GoSequence bytes(source, pctab_.begin + sequence, pctab_.end);
  uint32_t value = ~0u;
  uint64_t pc = in.entry;
  const uint64_t instructions = (in.end - in.entry) / quantum_ + 1;  // at most
  for (uint64_t pair = 0; pair < instructions; ++pair) {
    const auto delta = bytes.varint();
    if (!delta || (*delta == 0 && pair != 0)) return -1;
    value += (*delta & 1) != 0 ? ~(*delta >> 1) : *delta >> 1;
    const auto step = bytes.varint();
    if (!step) return -1;
    pc += uint64_t{*step} * quantum_;
    if (vaddr < pc) return static_cast<int32_t>(value);
  }
  return -1;
}

events::SourceFrame GoLineTable::frame(ByteSource& source, const Function& function, uint32_t name,
                                       uint64_t vaddr) const {
  events::SourceFrame frame;
  frame.function = name_at(source, name);
  const int32_t file = value_at(source, function.pcfile, function, vaddr);
  const int32_t line = value_at(source, function.pcln, function, vaddr);
  if (file < 0 || line < 0) return frame;
  const uint64_t unit_at = (uint64_t{function.unit} + static_cast<uint32_t>(file)) * 4;
  if (unit_at + 4 > units_.bytes()) return frame;
  const auto file_at = load<uint32_t>(source, units_.begin + unit_at);
  if (!file_at || *file_at >= files_.bytes()) return frame;
  frame.file = load_string(source, files_.begin + *file_at, files_.end, kNameBytes).value_or("");
  frame.line = static_cast<uint32_t>(line);
  return frame;
}

namespace {

// An entry of an inline tree. Up to 1.19 20 bytes: parent, file, line, name, parent pc; from 1.20 on 16: id,
// name, parent pc, start line.
struct InlinedCall {
  uint32_t name = 0, parent_pc = 0;
};

std::optional<InlinedCall> inlined_call(ByteSource& source, uint64_t tree, uint64_t index, bool since_120) {
  const uint64_t at = since_120 ? tree + 16 * index + 4 : tree + 20 * index + 12;
  return load<InlinedCall>(source, at);
}

}  // namespace

std::vector<events::SourceFrame> GoLineTable::lookup(ByteSource& source, uint64_t vaddr) const {
  const auto index = find_function(source, vaddr);
  const auto in = index ? function(source, *index) : std::nullopt;
  if (!in) return {};
  std::vector<events::SourceFrame> frames;
  while (in->inline_tree && in->inline_index != 0 && frames.size() + 1 < kMaxFrames) {
    const int32_t inlined = value_at(source, in->inline_index, *in, vaddr);
    if (inlined < 0) break;
    const auto call =
        inlined_call(source, *in->inline_tree, static_cast<uint32_t>(inlined), release_ == Release::kGo120);
    if (!call || call->name >= names_.bytes() || call->parent_pc >= in->end - in->entry) break;
    frames.push_back(frame(source, *in, call->name, vaddr));
    vaddr = in->entry + call->parent_pc;
  }
  frames.push_back(frame(source, *in, in->name, vaddr));
  return frames;
}

// Whether the trees of many functions make sense when gofunc is there: the first call of each has a name that
// begins where a name begins, and a parent pc within the function. The very first name is at offset 0:
// allowed, but no evidence.
bool GoLineTable::trees_are_at(ByteSource& source, uint64_t gofunc) {
  gofunc_ = gofunc;
  size_t good = 0;
  bool all_good = true;
  for (uint64_t i = 0; i < std::min(function_count_, kFunctionsToCheck) && good < kTreesToCheck && all_good;
       ++i) {
    const auto one = function(source, i);
    if (!one || !one->inline_tree || one->inline_index == 0) continue;
    const auto call = inlined_call(source, *one->inline_tree, 0, release_ == Release::kGo120);
    all_good = call && call->name < names_.bytes() && call->parent_pc < one->end - one->entry &&
               (call->name == 0 || load<char>(source, names_.begin + call->name - 1) == '\0') &&
               load<char>(source, names_.begin + call->name) != '\0';
    if (all_good && call->name != 0) ++good;
  }
  gofunc_ = 0;
  return all_good && good > 0;
}

std::vector<std::optional<AddressRange>> GoLineTable::find_functions(
    ByteSource& source, const std::vector<std::string>& names) const {
  std::vector<std::optional<AddressRange>> found(names.size());
  std::vector<std::string> needles;
  needles.reserve(names.size());
  for (const std::string& name : names) needles.push_back('\0' + name + '\0');
  const auto places = find_first(source, names_.begin, names_.end, needles);
  std::vector<uint32_t> offsets(names.size(), ~0u);  // in names_
  for (size_t i = 0; i < names.size(); ++i)
    if (places[i]) offsets[i] = static_cast<uint32_t>(*places[i] + 1 - names_.begin);
  std::vector<size_t> times(names.size());
  const uint64_t name_at = release_ == Release::kGo116 ? 8 : 4;       // in struct _func, after its entry
  const std::vector<std::optional<AddressRange>> none(names.size());  // when not all could be read
  std::vector<uint32_t> batch;                                        // of the table, which is read in pieces
  const uint64_t words = entry_bytes() / 4;
  for (uint64_t index = 0; index < function_count_; ++index) {
    constexpr uint64_t kBatch = 16 << 10;
    if (index % kBatch == 0) {
      auto piece = load_array<uint32_t>(source, functions_.begin + index * entry_bytes(),
                                        std::min(kBatch, function_count_ - index) * words);
      if (!piece) return none;
      batch = std::move(*piece);
    }
    const uint32_t record = batch[index % kBatch * words + words / 2];  // a table of 4 GiB is refused below
    const auto name = load<uint32_t>(source, functions_.begin + record + name_at);
    if (!name) return none;
    const auto which = std::find(offsets.begin(), offsets.end(), *name);
    if (which == offsets.end()) continue;
    const auto i = static_cast<size_t>(which - offsets.begin());
    const auto begin = entry_pc(source, index), end = entry_pc(source, index + 1);
    found[i].reset();
    if (++times[i] == 1 && begin && end && *begin < *end) found[i] = AddressRange{*begin, *end};
  }
  return found;
}

std::vector<bool> GoLineTable::have_names(ByteSource& source,
                                          const std::vector<std::string>& prefixes) const {
  std::vector<std::string> needles;
  needles.reserve(prefixes.size());
  for (const std::string& prefix : prefixes) needles.push_back('\0' + prefix);
  std::vector<bool> have;
  for (const auto& place : find_first(source, names_.begin, names_.end, needles))
    have.push_back(place.has_value());
  return have;
}

}  // namespace memwhy::symbols
