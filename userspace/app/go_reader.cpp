// SPDX-License-Identifier: Apache-2.0
#include "app/go_reader.h"

#include <optional>
#include <utility>

#include "goruntime/probe_sites.h"
#include "goruntime/program_file.h"
#include "symbols/binary_bytes.h"

namespace memwhy::app {
namespace {

constexpr uint64_t kCachedBytes = 16 << 20;  // of the program's file
constexpr const char* kSampler = "runtime.profilealloc";

// How far the program was moved from its link-time addresses; nullopt: it is not mapped.
std::optional<uint64_t> bias_of(const std::vector<symbols::Segment>& segments, const symbols::FileKey& file,
                                const std::vector<events::Vma>& vmas) {
  for (const events::Vma& vma : vmas) {
    if (vma.inode != file.inode || vma.device != file.device) continue;
    if (const std::optional<uint64_t> vaddr = symbols::vaddr_of(segments, vma.offset))
      return vma.range.start - *vaddr;
  }
  return std::nullopt;
}

}  // namespace

std::optional<goruntime::GoProgram> GoReader::program(const ProgramFiles& files, Pid tgid,
                                                      const std::vector<events::Vma>& vmas,
                                                      ProgramToProbe* to_probe) {
  const Result<symbols::OpenedBinary> opened = files.binaries.open_executable(tgid);
  if (!opened || !opened->facts.go) return std::nullopt;
  symbols::ProgramQuestion question = goruntime::probe_question();
  question.functions.emplace_back(kSampler);
  // The linker leaves these out of a program that can't ask for its profile; then the runtime does not sample.
  question.prefixes = {"runtime.memProfileInternal", "runtime.MemProfile"};
  Result<symbols::ProgramFacts> facts = files.binaries.program(opened->handle, question);
  if (!facts || !facts->go_table) return std::nullopt;
  const std::optional<uint64_t> bias = bias_of(facts->segments, opened->key, vmas);
  if (!bias) return std::nullopt;

  goruntime::GoProgram program;
  program.version = facts->go_version;
  program.image.pclntab = facts->go_table->vaddr + *bias;
  program.image.names_offset = facts->go_table->names_offset;
  for (const symbols::Segment& segment : facts->segments)
    if (segment.write)
      program.image.writable.push_back({segment.vaddr + *bias, segment.vaddr + *bias + segment.memory_bytes});
  program.image.file = std::make_shared<goruntime::ProgramFile>(
      std::make_unique<symbols::BlockCache>(
          std::make_unique<symbols::BinaryBytes>(files.binaries, tgid, *opened), kCachedBytes),
      facts->segments, *bias);
  program.own_layout = [layout_of = files.go_layout, handle = opened->handle](int minor) {
    return layout_of(handle, minor);
  };
  program.profiling_linked = facts->linked[0] || facts->linked[1];
  const std::optional<symbols::ProgramFunction>& sampler = facts->functions.back();
  if (sampler) program.sampler = {sampler->range.start + *bias, sampler->range.end + *bias};
  if (to_probe != nullptr) {
    to_probe->sampling_linked = program.profiling_linked;
    to_probe->facts = *std::move(facts);
    to_probe->bias = *bias;
  }
  return program;
}

std::unique_ptr<GoReader> GoReader::open(const ProgramFiles& files, const Fd& process, Pid tgid,
                                         const std::vector<events::Vma>& vmas) {
  ProgramToProbe to_probe;
  std::optional<goruntime::GoProgram> found = program(files, tgid, vmas, &to_probe);
  if (!found) return nullptr;
  Result<remote::ProcessMemory> memory = remote::ProcessMemory::open(process);
  Result<symbols::ExecutablePath> path = files.binaries.executable_path(tgid);
  if (!memory || !path) return nullptr;
  to_probe.file = *std::move(path);
  return std::unique_ptr<GoReader>(new GoReader(
      goruntime::GoProcess(std::make_unique<remote::ProcessMemory>(std::move(*memory)), std::move(*found)),
      plan_go_probes(std::move(to_probe), process, tgid)));
}

}  // namespace memwhy::app
