// SPDX-License-Identifier: Apache-2.0
#include "app/go_reader.h"

#include <fcntl.h>

#include <optional>
#include <utility>

#include "goruntime/program_file.h"
#include "symbols/binary.h"
#include "symbols/target_files.h"

namespace memwhy::app {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{4} << 30;

// How far the program was moved from its link-time addresses; nullopt: it is not mapped.
std::optional<uint64_t> bias_of(const symbols::ElfFile& elf, const symbols::TargetFile& file,
                                const std::vector<events::Vma>& vmas) {
  for (const events::Vma& vma : vmas) {
    if (vma.inode != file.inode || vma.device != file.device) continue;
    if (const std::optional<uint64_t> vaddr = elf.vaddr_of(vma.offset)) return vma.range.start - *vaddr;
  }
  return std::nullopt;
}

}  // namespace

std::optional<goruntime::GoProgram> GoReader::program(int proc_root, Pid tgid,
                                                      const std::vector<events::Vma>& vmas,
                                                      ProgramToProbe* to_probe) {
  const symbols::TargetFiles files(Fd(::fcntl(proc_root, F_DUPFD_CLOEXEC, 0)));
  Result<symbols::TargetFile> file = files.open_executable(tgid);
  if (!file) return std::nullopt;
  Result<std::unique_ptr<symbols::FileBytes>> again =
      symbols::FileBytes::open(Fd(::fcntl(file->fd.get(), F_DUPFD_CLOEXEC, 0)), kMostFileBytes);
  Fd kept(::fcntl(file->fd.get(), F_DUPFD_CLOEXEC, 0));
  Result<std::unique_ptr<symbols::FileBytes>> bytes =
      symbols::FileBytes::open(std::move(file->fd), kMostFileBytes);
  if (!bytes || !again) return std::nullopt;
  Result<std::unique_ptr<symbols::Binary>> binary = symbols::Binary::open(std::move(*bytes));
  if (!binary || !(*binary)->facts().go) return std::nullopt;
  const std::optional<symbols::GoTable> table = (*binary)->go_table();
  const std::optional<uint64_t> bias = bias_of((*binary)->elf(), *file, vmas);
  if (!table || !bias) return std::nullopt;

  goruntime::GoProgram program;
  program.version = (*binary)->facts().go->version;
  program.image.pclntab = table->vaddr + *bias;
  program.image.names_offset = table->names_offset;
  for (const symbols::Segment& segment : (*binary)->elf().segments())
    if (segment.write)
      program.image.writable.push_back({segment.vaddr + *bias, segment.vaddr + *bias + segment.memory_bytes});
  program.image.file =
      std::make_shared<goruntime::ProgramFile>(std::move(*again), (*binary)->elf().segments(), *bias);
  program.file = std::make_shared<const Fd>(::fcntl(kept.get(), F_DUPFD_CLOEXEC, 0));
  // The linker leaves these out of a program that can't ask for its profile; then the runtime does not
  // sample.
  program.profiling_linked = (*binary)->has_go_function("runtime.memProfileInternal") ||
                             (*binary)->has_go_function("runtime.MemProfile");
  const std::optional<AddressRange> sampler = (*binary)->go_functions({"runtime.profilealloc"}).front();
  if (sampler) program.sampler = {sampler->start + *bias, sampler->end + *bias};
  if (to_probe != nullptr) *to_probe = {std::move(*binary), std::move(kept), *bias, program.profiling_linked};
  return program;
}

std::unique_ptr<GoReader> GoReader::open(int proc_root, const Fd& process, Pid tgid,
                                         const std::vector<events::Vma>& vmas) {
  ProgramToProbe to_probe;
  std::optional<goruntime::GoProgram> found = program(proc_root, tgid, vmas, &to_probe);
  Result<remote::ProcessMemory> memory = remote::ProcessMemory::open(process);
  if (!found || !memory) return nullptr;
  return std::unique_ptr<GoReader>(new GoReader(
      goruntime::GoProcess(std::make_unique<remote::ProcessMemory>(std::move(*memory)), std::move(*found)),
      plan_go_probes(std::move(to_probe), process, tgid)));
}

}  // namespace memwhy::app
