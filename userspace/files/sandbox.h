// SPDX-License-Identifier: Apache-2.0
// What a child gives up before it touches a file of a target. One call, for good.
//
//              capabilities                            files                      system calls            limits
//   opener     SYS_PTRACE DAC_READ_SEARCH               opens for reading only     opening, looking, and   no file written, no
//              CHECKPOINT_RESTORE (or SYS_ADMIN)                                   its two sockets         process, no core
//   parser     none                                     none: Landlock, seccomp    reading, memory, and    the same, and memory
//                                                                                  its two sockets
//
// Both: uid and gid 65534 where that is permitted, no new privileges, no capability to gain, killed by any other system call.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace memwhy::files {

enum class Role : uint8_t { kOpener, kParser };

constexpr uint64_t kParserMemoryBytes = uint64_t{1} << 30;  // address space beyond what it starts with

// In a process with one thread. `most_files`: descriptors that it may have open at a time.
Status enter_sandbox(Role role, uint64_t most_files);

}  // namespace memwhy::files
