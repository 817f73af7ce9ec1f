// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a file of a target: ELF headers, notes, symbols, and what Go's linker leaves (build info, line table, module
// data, stack checks). An input is an ELF file, or a large one with holes (support/sparse.h).
//
// Not here: unwind tables (unwind.cpp); debug information, which a library parses (goruntime/dwarf_layout.h).
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fuzz/support/check.h"
#include "fuzz/support/elf_input.h"
#include "goruntime/probe_sites.h"
#include "symbols/binary.h"
#include "symbols/go_module.h"
#include "symbols/program_facts.h"
#include "symbols/stack_check.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kMostFrames = 1000;
constexpr uint64_t kTextBytes = uint64_t{1} << 46;  // addresses below it can be a file's offsets

void look_up(symbols::Binary& binary, uint64_t address) {
  for (const bool is_return : {false, true}) {
    check(binary.lookup(address, is_return).size() <= kMostFrames,
          "an address has not endless inlined frames");
    (void)binary.lookup_offset(address, is_return);
  }
  (void)binary.bytes_at(address, symbols::kMostStackCheckBytes);
}

// The code of the functions that are probed, where a process would have it.
class Code final : public remote::RemoteMemory {
 public:
  Code() : file_(::memfd_create("code", MFD_CLOEXEC)) {
    check(::ftruncate(file_.get(), kTextBytes) == 0, "a file");
  }
  Status read(uint64_t address, std::span<std::byte> into) override {
    const ssize_t got = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(address));
    return got == static_cast<ssize_t>(into.size()) ? Status()
                                                    : Status(Error(ErrorCode::kAbsent, "no code"));
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    if (Status status = read(address, into); !status) return std::move(status).error();
    return into.size();
  }
  void put(uint64_t address, const std::vector<uint8_t>& bytes) {
    if (address > kTextBytes) return;
    (void)!::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(address));
  }

 private:
  Fd file_;
};

void use_go(symbols::Binary& binary) {
  symbols::ProgramQuestion question = goruntime::probe_question();
  question.functions.emplace_back("main.main");
  question.prefixes.emplace_back("runtime.memProfileInternal");
  const symbols::ProgramFacts facts = symbols::describe_program(binary, question);
  check(
      facts.functions.size() == question.functions.size() && facts.linked.size() == question.prefixes.size(),
      "each name has its answer");
  Code code;
  for (const std::optional<symbols::ProgramFunction>& function : facts.functions) {
    if (!function) continue;
    check(function->range.start < function->range.end, "a function has code");
    check(function->code.size() <= question.code_bytes, "as much code is read as was asked for");
    code.put(function->range.start, function->code);
    if (const auto found = symbols::find_stack_check(function->code, function->range.bytes()))
      check(found->jump + found->jump_bytes <= function->code.size(), "a site is inside of the code");
  }
  const goruntime::ProbeSites sites = goruntime::find_probe_sites(facts, code, 0, true);
  check(sites.sites.size() + sites.not_probed.size() >= 1, "of each function it is said what becomes of it");
}

void use(const Sparse& file) {
  SparseBytes source(file);
  (void)symbols::elf_machine(source).ok();
  Result<std::unique_ptr<symbols::Binary>> opened =
      symbols::Binary::open(std::make_unique<SparseBytes>(file));
  if (!opened) {
    check(!opened.error().message().empty(), "a refusal says why");
    return;
  }
  symbols::Binary& binary = **opened;
  std::vector<uint64_t> addresses = file.addresses;
  addresses.push_back(binary.elf().entry());
  const std::vector<symbols::Segment>& segments = binary.elf().segments();
  for (size_t i = 0; i < std::min<size_t>(segments.size(), 4); ++i)
    addresses.push_back(segments[i].vaddr + segments[i].file_bytes / 2);
  for (const uint64_t address : addresses) look_up(binary, address);
  if (binary.facts().go) use_go(binary);
  if (const std::optional<symbols::GoTable> table = binary.go_table())
    (void)symbols::find_go_modules(source, binary.elf(), table->vaddr, table->names_offset);
  (void)binary.memory_bytes();
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const memwhy::fuzz::Sparse file = memwhy::fuzz::file_of({reinterpret_cast<const char*>(data), size});
  memwhy::fuzz::use(file);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  return memwhy::fuzz::mutate_elf(data, size, most, random);
}
