// SPDX-License-Identifier: Apache-2.0
#include "symbols/binary_table.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "symbols/vdso.h"

namespace memwhy::symbols {
namespace {

Error not_open() { return {ErrorCode::kAbsent, "the file is not open any more"}; }

}  // namespace

const OpenedBinary* BinaryTable::known(const FileKey& key) {
  const auto known =
      std::find_if(recent_.begin(), recent_.end(), [&](const Entry& e) { return e.facts.key == key; });
  if (known == recent_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, known);
  return &recent_.front().facts;
}

OpenedBinary BinaryTable::take(TargetFile file) {
  if (const OpenedBinary* open = known(file.key)) {
    OpenedBinary facts = *open;
    facts.path = std::move(file.path);
    return facts;
  }
  OpenedBinary opened;
  opened.key = file.key;
  opened.path = std::move(file.path);
  Fd again(::fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0));
  auto bytes = FileBytes::open(std::move(file.fd), limits_.file_bytes);
  if (!bytes) {
    opened.problem = bytes.error().message();
    return opened;
  }
  if (const Result<std::string> machine = elf_machine(**bytes)) opened.machine = *machine;
  return add(std::move(opened), Binary::open(std::move(*bytes)), std::move(again));
}

OpenedBinary BinaryTable::add(OpenedBinary opened, Result<std::unique_ptr<Binary>> binary, Fd file) {
  if (!binary) {
    opened.problem = binary.error().message();
    return opened;
  }
  opened.handle = BinaryHandle{++last_};
  opened.facts = (*binary)->facts();
  opened.problem = opened.facts.problem;
  if (opened.facts.debug_info) (*binary)->use_debug_info(Fd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0)));
  recent_.push_front({opened.handle, opened, std::move(*binary), std::move(file)});
  by_handle_[opened.handle] = recent_.begin();
  drop_above_budget();
  return opened;
}

Result<OpenedBinary> BinaryTable::vdso() {
  std::vector<std::byte> bytes = own_vdso();
  if (bytes.empty()) return Error(ErrorCode::kEnvironment, "this kernel has no vdso");
  OpenedBinary opened;
  opened.key.bytes = bytes.size();  // no file has device 0
  opened.path = "[vdso]";
  if (const OpenedBinary* open = known(opened.key)) return *open;
  auto source = std::make_unique<MemoryBytes>(std::move(bytes));
  if (const Result<std::string> machine = elf_machine(*source)) opened.machine = *machine;
  return add(std::move(opened), Binary::open(std::move(source)), Fd());
}

Status BinaryTable::add_symbols(BinaryHandle binary, TargetFile file) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  Fd again(::fcntl(file.fd.get(), F_DUPFD_CLOEXEC, 0));
  auto bytes = FileBytes::open(std::move(file.fd), limits_.file_bytes);
  if (!bytes) return std::move(bytes).error();
  const bool added = entry->binary->add_symbols(std::move(*bytes));
  if (added && !entry->facts.facts.debug_info) entry->binary->use_debug_info(std::move(again));
  drop_above_budget();
  return added ? Status() : Error(ErrorCode::kBadInput, "not the symbols of this build");
}

Result<std::vector<FunctionRules>> BinaryTable::frame_rules(BinaryHandle binary,
                                                            std::span<const CodeOffset> at) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  const auto in_no_file = [](const CodeOffset& one) { return one.file_offset >= kMostFileBytes; };
  if (std::ranges::any_of(at, in_no_file)) return Error(ErrorCode::kBadInput, "no file has such an offset");
  std::vector<FunctionRules> rules;
  rules.reserve(at.size());
  for (const CodeOffset& one : at)
    rules.push_back(entry->binary->frame_rules(one.file_offset, one.is_return));
  drop_above_budget();
  return rules;
}

BinaryTable::Entry* BinaryTable::find(BinaryHandle handle) {
  const auto found = by_handle_.find(handle);
  if (found == by_handle_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return &recent_.front();
}

Result<std::vector<SourceFrames>> BinaryTable::look_up(BinaryHandle binary, std::span<const CodeOffset> at) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  std::vector<SourceFrames> found;
  found.reserve(at.size());
  for (const CodeOffset& one : at)
    found.push_back(entry->binary->lookup_offset(one.file_offset, one.is_return));
  drop_above_budget();
  return found;
}

Result<std::vector<SourceFrames>> BinaryTable::look_up_addresses(BinaryHandle binary,
                                                                 std::span<const uint64_t> vaddrs) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  std::vector<SourceFrames> found;
  found.reserve(vaddrs.size());
  for (const uint64_t vaddr : vaddrs) found.push_back(entry->binary->lookup(vaddr, false));
  drop_above_budget();
  return found;
}

Result<ProgramFacts> BinaryTable::program(BinaryHandle binary, const ProgramQuestion& question) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  return describe_program(*entry->binary, question);
}

Result<std::vector<std::byte>> BinaryTable::read(BinaryHandle binary, uint64_t offset, size_t bytes) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  std::vector<std::byte> out(bytes);
  if (Status read = entry->binary->read_at(offset, out); !read) return std::move(read).error();
  return out;
}

Result<const Fd*> BinaryTable::file(BinaryHandle binary) {
  Entry* entry = find(binary);
  if (entry == nullptr) return not_open();
  return static_cast<const Fd*>(&entry->file);
}

uint64_t BinaryTable::memory_bytes() const {
  uint64_t bytes = 0;
  for (const Entry& entry : recent_) bytes += entry.binary->memory_bytes();
  return bytes;
}

void BinaryTable::drop_above_budget() {
  uint64_t bytes = memory_bytes();
  while (recent_.size() > 1 && (bytes > limits_.memory_bytes || recent_.size() > limits_.open_files)) {
    bytes -= recent_.back().binary->memory_bytes();
    by_handle_.erase(recent_.back().handle);
    recent_.pop_back();
  }
}

}  // namespace memwhy::symbols
