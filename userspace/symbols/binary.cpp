// SPDX-License-Identifier: Apache-2.0
#include "symbols/binary.h"

#include <algorithm>

#include "symbols/demangle.h"
#include "symbols/go_build_info.h"

namespace memwhy::symbols {

Result<std::unique_ptr<Binary>> Binary::open(std::unique_ptr<ByteSource> bytes) {
  Result<ElfFile> elf = ElfFile::parse(*bytes);
  if (!elf) return std::move(elf).error();
  std::unique_ptr<Binary> binary(new Binary(std::move(bytes), std::move(*elf)));
  binary->facts_.machine = binary->elf_.machine();
  binary->facts_.build_id = binary->elf_.build_id();
  binary->facts_.go_build_id = binary->elf_.go_build_id();
  binary->facts_.stripped = binary->elf_.section_of_type(SHT_SYMTAB) == nullptr;
  binary->read_go();
  return binary;
}

void Binary::read_go() {
  const std::optional<GoBuildInfo> info = read_go_build_info(bytes_, elf_);
  go_lines_ = GoLineTable::find(bytes_, elf_, info.has_value() || !elf_.go_build_id().empty());
  if (!info && !go_lines_) return;
  events::GoBuild go;
  go.version = info ? info->version : find_go_version(bytes_, elf_);
  if (go_lines_) {
    // Build info says what was asked for, and other build systems leave it out; the line table names what was
    // linked: functions that only race builds have, and what runtime/cgo calls back.
    go.race = go_lines_->has_name(bytes_, "runtime.racefuncenter");
    go.cgo = go_lines_->has_name(bytes_, "runtime._cgo_panic_internal");
  } else {
    go.race = info->setting("-race") == "true";
    go.cgo = info->setting("CGO_ENABLED") == "1";
  }
  go.default_godebug = info ? info->setting("DefaultGODEBUG") : "";
  facts_.go = std::move(go);
}

std::vector<events::SourceFrame> Binary::lookup(uint64_t vaddr, bool is_return) {
  if (is_return && vaddr != 0) --vaddr;
  if (go_lines_) {
    std::vector<events::SourceFrame> frames = go_lines_->lookup(bytes_, vaddr);
    // What the Go linker took from C++ (the race detector) stands in its table under linker names.
    for (events::SourceFrame& frame : frames)
      if (frame.function.starts_with("_Z")) frame.function = demangle(frame.function);
    if (!frames.empty()) return frames;
  }
  if (!symbols_) symbols_ = SymbolTable::read(bytes_, elf_);
  const std::optional<std::string> name = symbols_->lookup(bytes_, vaddr);
  if (!name) return {};
  return {{demangle(*name), "", 0}};
}

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
  return go_lines_ && go_lines_->has_name(bytes_, prefix);
}

std::vector<std::optional<AddressRange>> Binary::go_functions(const std::vector<std::string>& names) {
  if (!go_lines_) return std::vector<std::optional<AddressRange>>(names.size());
  return go_lines_->find_functions(bytes_, names);
}

std::vector<uint8_t> Binary::bytes_at(uint64_t vaddr, size_t most) {
  const std::optional<uint64_t> offset = elf_.offset_of(vaddr);
  if (!offset || *offset >= bytes_.size()) return {};
  std::vector<uint8_t> out(std::min<uint64_t>(most, bytes_.size() - *offset));
  if (!bytes_.read_at(*offset, std::as_writable_bytes(std::span(out)))) return {};
  return out;
}

size_t Binary::memory_bytes() const {
  return bytes_.held_bytes() + (symbols_ ? symbols_->memory_bytes() : 0);
}

}  // namespace memwhy::symbols
