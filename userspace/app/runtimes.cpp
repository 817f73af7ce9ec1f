// SPDX-License-Identifier: Apache-2.0
#include "app/runtimes.h"

#include "allocators/block_lines.h"
#include "allocators/ended_stacks.h"
#include "allocators/glibc_lines.h"
#include "app/block_reader.h"
#include "app/glibc_reader.h"
#include "app/go_reader.h"
#include "app/stacks_reader.h"

namespace memwhy::app {

std::unique_ptr<record::RuntimeSource> open_go_of(const TargetProcess& target) {
  const goruntime::ProgramFiles files{target.files,
                                      [&children = target.files](symbols::BinaryHandle program, int minor) {
                                        return children.go_layout(program, minor);
                                      }};
  const MemoryOpener open_memory = [&target](const Fd& process, Pid tgid) {
    return target.files.open_memory(process, tgid, target.memory);
  };
  return open_go(files, open_memory, target.process.directory(), target.process.pid(), target.vmas,
                 target.without_go);
}

const std::vector<Runtime>& runtimes() {
  static const std::vector<Runtime> kRuntimes = {
      {open_go_of, nullptr, true},
      {open_sanitizer, allocators::sanitizer_lines, true},
      {open_hotspot, allocators::hotspot_lines, true},
      {open_v8, allocators::v8_lines, true},
      {open_zend, allocators::zend_lines, true},
      {open_pymalloc, allocators::pymalloc_lines, true},
      {open_jemalloc, allocators::jemalloc_lines, true},
      {open_tcmalloc, allocators::tcmalloc_lines, true},
      {open_mimalloc, allocators::mimalloc_lines, true},
      {open_musl, allocators::musl_lines, true},
      {open_recognised, nullptr, true},
      // Before glibc: a page of each stack takes little, and of a recording that must end little time may be left.
      {open_ended_stacks, allocators::ended_stacks_lines, true},
      {open_glibc, allocators::glibc_lines, true},
  };
  return kRuntimes;
}

explain::OwnerTable owner_table() {
  explain::OwnerTable table;
  for (const Runtime& runtime : runtimes())
    if (runtime.lines != nullptr)
      static_cast<void>(table.add(runtime.lines()));  // a test holds that it is taken
  return table;
}

}  // namespace memwhy::app
