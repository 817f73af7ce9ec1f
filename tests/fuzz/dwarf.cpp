// SPDX-License-Identifier: Apache-2.0
// Fuzz target: debug information of a target's file, which libdw parses within our bounds (symbols/dwarf_file.h). An input is an ELF
// file. libdw itself is not built with the fuzzer's eyes: what is covered is our code, and what is found is a crash of either.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "fuzz/support/check.h"
#include "fuzz/support/elf_input.h"
#include "symbols/dwarf_frames.h"

namespace memwhy::fuzz {
namespace {

constexpr uint64_t kText = 0x1000, kTextBytes = 0x400;  // where the seeds have their code
constexpr uint64_t kMostMemory = 64 << 20;

Fd file_with(std::string_view bytes) {
  Fd file(::memfd_create("dwarf", MFD_CLOEXEC));
  check(file && ::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
        "a file");
  return file;
}

void use(std::string_view input) {
  symbols::DwarfFrames frames(file_with(input));
  for (uint64_t vaddr = kText; vaddr < kText + kTextBytes; vaddr += 5) {
    const std::vector<events::SourceFrame> found = frames.lookup(vaddr);
    check(found.size() <= symbols::DwarfFrames::kMostFrames, "an address has not endless inlined frames");
    for (const events::SourceFrame& frame : found)
      check(frame.line == 0 || !frame.file.empty(), "a line is of a file");
  }
  check(frames.memory_bytes() <= symbols::DwarfFile::kMostDebugBytes + kMostMemory,
        "what is kept is bounded");
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  memwhy::fuzz::use({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  return memwhy::fuzz::mutate_elf(data, size, most, random);
}
