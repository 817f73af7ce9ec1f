// SPDX-License-Identifier: Apache-2.0
#include "symbols/binary.h"

#include <fmt/format.h>

#include <algorithm>

#include "symbols/data_users.h"
#include "symbols/demangle.h"
#include "symbols/dwarf_frames.h"
#include "symbols/go_build_info.h"
#include "symbols/large_variables.h"

namespace memwhy::symbols {

namespace {

constexpr size_t kMostGodebugBytes = 4096;

// Go: of package main, or of a module that has a host's name; the standard library has neither.
bool is_program(const std::string& function) {
  const size_t slash = function.find('/');
  return function.starts_with("main.") ||
         (slash != std::string::npos && function.find('.') < slash && function.find('(') > slash);
}

// What runs before main only fills variables.
bool is_initializer(const std::string& function) {
  return function.ends_with(".init") || function.find(".init.") != std::string::npos;
}

}  // namespace

Binary::Binary(std::unique_ptr<ByteSource> bytes) : bytes_(std::move(bytes), kCacheBytes) {}
Binary::~Binary() = default;

Result<std::unique_ptr<Binary>> Binary::open(std::unique_ptr<ByteSource> bytes) {
  std::unique_ptr<Binary> binary(new Binary(std::move(bytes)));
  Budget& budget = binary->bytes_.budget();
  budget.allow(kWholeWork);
  Result<ElfFile> elf = ElfFile::parse(binary->bytes_);
  if (!elf) return std::move(elf).error();
  binary->elf_ = std::move(*elf);
  binary->facts_.machine = binary->elf_.machine();
  binary->facts_.build_id = binary->elf_.build_id();
  binary->facts_.go_build_id = binary->elf_.go_build_id();
  const Section* symbols = binary->elf_.section_of_type(SHT_SYMTAB);
  binary->facts_.stripped = symbols == nullptr;
  for (const char* name : {".debug_info", ".zdebug_info"})
    if (const Section* info = binary->elf_.section(name); info != nullptr && info->type != SHT_NOBITS)
      binary->facts_.debug_info = true;
  for (const Segment& segment : binary->elf_.segments())
    if (segment.exec && binary->facts_.code.size() < BinaryFacts::kMostCode)
      binary->facts_.code.push_back({segment.offset, segment.file_bytes, segment.vaddr});
  binary->debug_link_ = read_debug_link(binary->bytes_, binary->elf_);
  if (binary->debug_link_) binary->facts_.debug_link = binary->debug_link_->name;
  if (!binary->elf_.left_out().empty()) binary->say("too large to be read whole: " + binary->elf_.left_out());
  binary->read_go();
  binary->bytes_.budget().allow(kWholeWork);
  binary->facts_.variables = large_variables(binary->bytes_, binary->elf_);
  // It may be more than is kept, and that is a fact.
  if (symbols != nullptr && symbols->bytes / sizeof(Elf64_Sym) > SymbolTable::kMaxKept)
    binary->read_symbols();
  return binary;
}

void Binary::say(const std::string& problem) {
  if (facts_.problem.find(problem) != std::string::npos) return;
  facts_.problem += (facts_.problem.empty() ? "" : "; ") + problem;
}

void Binary::read_go() {
  const std::optional<GoBuildInfo> info = read_go_build_info(bytes_, elf_);
  bool left_out = false;
  go_lines_ = GoLineTable::find(bytes_, elf_, info.has_value() || !elf_.go_build_id().empty(), &left_out);
  events::GoBuild go;
  if (info || go_lines_) {
    go.version = info ? info->version : find_go_version(bytes_, elf_);
    go.race = info && info->setting("-race") == "true";
    go.cgo = info && info->setting("CGO_ENABLED") == "1";
    if (info) go.modules = info->modules;
    if (info) go.default_godebug = info->setting("DefaultGODEBUG").substr(0, kMostGodebugBytes);
  }
  if (go_lines_) {
    // Build info has what was requested, and other build systems leave it out; the line table names what was
    // linked: functions that only race builds have, and what runtime/cgo calls back.
    const std::vector<bool> linked =
        go_lines_->have_names(bytes_, {"runtime.racefuncenter", "runtime._cgo_panic_internal"});
    if (!bytes_.budget().used_up()) {
      go.race = linked[0];
      go.cgo = linked[1];
    }
  }
  if (go_lines_ && !go.cgo && !go.race) {
    const AddressRange code = go_lines_->code(bytes_);
    const auto begin = elf_.offset_of(code.start), end = elf_.offset_of(code.end - 1);
    if (code.end > code.start && begin && end && *end - *begin == code.end - 1 - code.start)
      facts_.go_code = {*begin, *end + 1};
  }
  if (info || go_lines_) facts_.go = std::move(go);
  if (left_out) say("too much in it looks like a table of Go functions: not all was tried");
  if (bytes_.budget().used_up()) say("looking for Go's tables in it was given up: too much work");
}

void Binary::read_symbols() {
  bytes_.budget().allow(kWholeWork);
  symbols_ = SymbolTable::read(bytes_, elf_);
  if (!extra_ && facts_.stripped) extra_ = ExtraSymbols::unpack(bytes_, elf_);
  if (symbols_->left_out() || bytes_.budget().used_up())
    say("it has more symbols than are read: some functions have no names, or a neighbour's");
}

// A look-up that is given up costs all that it might have cost; what is not used is left to later ones.
template <typename Work>
bool Binary::within_allowance(Work work) {
  saved_work_ = std::min(saved_work_ + kLookupShare, kMostSaved);
  const uint64_t allowed = std::min(saved_work_, kLookupWork);
  Budget& budget = bytes_.budget();
  budget.allow(allowed);
  work(budget);
  saved_work_ -= allowed - budget.left();
  return !budget.used_up();
}

std::vector<events::SourceFrame> Binary::lookup(uint64_t vaddr, bool is_return) {
  if (is_return && vaddr != 0) --vaddr;
  std::vector<events::SourceFrame> frames;
  const bool done = within_allowance([&](Budget& budget) {
    frames = lookup_go(vaddr);
    if (!frames.empty() || budget.used_up()) return;
    if (!symbols_) {
      const uint64_t left = budget.left();
      read_symbols();
      budget.allow(left);
    }
    frames = lookup_native(vaddr);
  });
  if (done) return frames;
  say("names for some of its addresses were given up: too much work");
  return {};
}

void Binary::find_frames() {
  bytes_.budget().allow(kWholeWork);
  if (!frames_) frames_ = FrameTables::find(bytes_, elf_);
  if (!frames_->needs_index()) return;
  frames_->make_index(bytes_);
  if (bytes_.budget().used_up()) say("it has more unwind entries than are read");
}

std::optional<AddressRange> Binary::unwind_entry(uint64_t vaddr) {
  if (!frames_ || frames_->needs_index()) {
    const uint64_t left = bytes_.budget().left();
    find_frames();
    bytes_.budget().allow(left);
  }
  return frames_->function(bytes_, vaddr);
}

FunctionRules Binary::frame_rules(uint64_t file_offset, bool is_return) {
  if (is_return && file_offset != 0) --file_offset;
  find_frames();
  FunctionRules rules;
  const bool done = within_allowance(
      [&](Budget&) { rules = frames_->rules(bytes_, elf_, go_lines_ ? &*go_lines_ : nullptr, file_offset); });
  if (!done) say("unwind rules for some of its addresses were given up: too much work");
  return rules;
}

std::vector<events::SourceFrame> Binary::lookup_go(uint64_t vaddr) {
  if (!go_lines_) return {};
  std::vector<events::SourceFrame> frames = go_lines_->lookup(bytes_, vaddr);
  // What the Go linker took from C++ (the race detector) is in its table under linker names.
  for (events::SourceFrame& frame : frames)
    if (frame.function.starts_with("_Z")) frame.function = demangle(frame.function);
  return frames;
}

// By symbols and debug information. The function itself is called as its symbol is, unless it has none.
std::vector<events::SourceFrame> Binary::lookup_native(uint64_t vaddr) {
  std::string name = name_of(vaddr);
  std::vector<events::SourceFrame> frames;
  if (dwarf_) frames = dwarf_->lookup(vaddr);
  if (dwarf_ && dwarf_->gave_up()) say("some of its inlined functions and lines are left out: too much work");
  const bool named = !name.empty() && !name.starts_with(events::kLocalFunction);
  if (frames.empty() || (!named && frames.back().function.empty())) {
    if (name.empty()) return {};
    return {{std::move(name), "", 0}};
  }
  if (named) frames.back().function = std::move(name);
  return frames;
}

// A symbol without a size reaches as far as its unwind entry. A function without a symbol is not its neighbour: it is named
// after the one before it.
std::string Binary::name_of(uint64_t vaddr) {
  const auto hit = symbols_->find(bytes_, vaddr);
  if (hit && hit->sized) return demangle(hit->name);
  const auto other = extra_ ? extra_->find(vaddr) : std::nullopt;
  if (other && other->sized) return demangle(other->name);
  const std::optional<AddressRange> function = unwind_entry(vaddr);
  for (const auto& one : {hit, other})
    if (one && (!function || function->start <= one->vaddr)) return demangle(one->name);
  if (!function) return "";
  for (const char* name : {".plt", ".plt.got", ".plt.sec"}) {
    const Section* plt = elf_.section(name);
    if (plt != nullptr && vaddr >= plt->vaddr && vaddr - plt->vaddr < plt->bytes) return "";
  }
  auto nearest = symbols_->before(bytes_, function->start);
  auto packed = extra_ ? extra_->before(function->start) : std::nullopt;
  if (packed && (!nearest || packed->vaddr > nearest->vaddr)) nearest = std::move(packed);
  if (!nearest) return "";
  return fmt::format("{}{}+{:#x}", events::kLocalFunction, demangle(nearest->name),
                     function->start - nearest->vaddr);
}

bool Binary::add_symbols(std::unique_ptr<ByteSource> bytes) {
  DebugFileOf program{facts_.build_id, std::nullopt};
  if (debug_link_) program.crc = debug_link_->crc;
  std::unique_ptr<ExtraSymbols> read = ExtraSymbols::read(std::move(bytes), program);
  if (!read) return false;
  extra_ = std::move(read);
  return true;
}

void Binary::use_debug_info(Fd file) { dwarf_ = std::make_unique<DwarfFrames>(std::move(file)); }

std::vector<events::SourceFrame> Binary::lookup_offset(uint64_t file_offset, bool is_return) {
  if (is_return && file_offset != 0) --file_offset;
  const std::optional<uint64_t> vaddr = elf_.vaddr_of(file_offset);
  if (!vaddr) return {};
  return lookup(*vaddr, false);
}

std::optional<GoTable> Binary::go_table() const {
  if (!go_lines_) return std::nullopt;
  return GoTable{go_lines_->vaddr(), go_lines_->names_offset()};
}

bool Binary::has_go_function(std::string_view prefix) {
  bytes_.budget().allow(kWholeWork);
  return go_lines_ && go_lines_->have_names(bytes_, {std::string(prefix)}).front();
}

std::vector<std::optional<AddressRange>> Binary::go_functions(const std::vector<std::string>& names) {
  if (!go_lines_) return std::vector<std::optional<AddressRange>>(names.size());
  bytes_.budget().allow(kWholeWork);
  return go_lines_->find_functions(bytes_, names);
}

std::vector<std::optional<AddressRange>> Binary::functions(const std::vector<std::string>& names) {
  if (!symbols_) read_symbols();
  bytes_.budget().allow(kWholeWork);
  return symbols_->named(bytes_, names);
}

std::vector<AddressRange> Binary::variables(size_t most) {
  bytes_.budget().allow(kWholeWork);
  return variable_ranges(bytes_, elf_, most);
}

std::vector<std::string> Binary::variable_names(const std::vector<uint64_t>& addresses) {
  bytes_.budget().allow(kWholeWork);
  return symbols::variable_names(bytes_, elf_, addresses);
}

std::vector<std::string> Binary::variable_users(const std::vector<uint64_t>& addresses) {
  constexpr size_t kMostUsers = 3, kMostBytes = 256;
  std::vector<std::string> out;
  bytes_.budget().allow(kWholeWork);
  for (const std::vector<uint64_t>& uses : uses_of(bytes_, elf_, addresses)) {
    std::vector<std::string> users, others;
    for (const uint64_t at : uses) {
      const std::vector<events::SourceFrame> frames = lookup(at, false);
      if (frames.empty()) continue;
      // Of functions that were inlined, the one that spoke of the variable and did not get a pointer to it.
      const auto own = std::find_if(frames.begin(), frames.end(), [](const events::SourceFrame& each) {
        return is_program(each.function);
      });
      const std::string& function = (own == frames.end() ? frames.front() : *own).function;
      if (function.empty() || function.size() > kMostBytes || is_initializer(function)) continue;
      std::vector<std::string>& into = own == frames.end() ? others : users;
      if (into.size() < kMostUsers && std::find(into.begin(), into.end(), function) == into.end())
        into.push_back(function);
    }
    std::string& text = out.emplace_back();
    for (const std::string& user : users.empty() ? others : users) text += (text.empty() ? "" : ", ") + user;
  }
  return out;
}

std::vector<uint8_t> Binary::bytes_at(uint64_t vaddr, size_t most) {
  bytes_.budget().allow(kWholeWork);
  const std::optional<uint64_t> offset = elf_.offset_of(vaddr);
  if (!offset || *offset >= bytes_.size()) return {};
  std::vector<uint8_t> out(std::min<uint64_t>(most, bytes_.size() - *offset));
  if (!bytes_.read_at(*offset, std::as_writable_bytes(std::span(out)))) return {};
  return out;
}

size_t Binary::memory_bytes() const {
  return bytes_.held_bytes() + (symbols_ ? symbols_->memory_bytes() : 0) +
         (frames_ ? frames_->memory_bytes() : 0) + (extra_ ? extra_->memory_bytes() : 0) +
         (dwarf_ ? dwarf_->memory_bytes() : 0);
}

}  // namespace memwhy::symbols
