// SPDX-License-Identifier: Apache-2.0
// A Go program as an event script: names for its code, and one scan with all that is read of its runtime.
#pragma once

#include <fmt/format.h>

#include <string>

#include "unit/explain/told.h"

namespace memwhy::explain {

inline std::string go_program(const std::string& build) {
  return "@10 anchor\nbinary b1 /srv/app inode=7 go=" + build + R"(
attach 1 pid=5 comm=app exe=/srv/app binary=b1
symbol 1 0x401000 binary=b1 runtime.gopark@/go/src/runtime/proc.go:398
symbol 1 0x401100 ret binary=b1 runtime.chansend1@/go/src/runtime/chan.go:145
symbol 1 0x401200 ret binary=b1 main.runJob.func1.1@/srv/main.go:47
symbol 1 0x401300 ret binary=b1 runtime.goexit@/go/src/runtime/asm_amd64.s:1598
symbol 1 0x401400 ret binary=b1 main.runJob@/srv/main.go:43
symbol 1 0x401500 ret binary=b1 "main.(*job).load@/srv/main.go:36"
symbol 1 0x401600 ret binary=b1 internal/poll.runtime_pollWait@/go/src/runtime/netpoll.go:351
symbol 1 0x401700 ret binary=b1 "net.(*conn).Read@/go/src/net/net.go:183"
symbol 1 0x401800 ret binary=b1 main.serve@/srv/main.go:90
symbol 1 0x401900 ret binary=b1 runtime.gcBgMarkWorker@/go/src/runtime/mgc.go:1363
symbol 1 0x401a00 ret binary=b1 runtime.gcBgMarkStartWorkers@/go/src/runtime/mgc.go:1339
symbol 1 0x401b00 binary=b1 "main.(*job).load@/srv/main.go:38"
symbol 1 0x401c00 binary=b1 runtime.memclrNoHeapPointers@/go/src/runtime/memclr.s:1
symbol 1 0x401d00 ret binary=b1 runtime.mallocgc@/go/src/runtime/malloc.go:1
symbol 1 0x401e00 binary=b1 __tsan_func_enter@:0
symbol 1 0x401f00 binary=b1 __tsan_go_start@:0
stack s1 1 0x401b00 0x401300
stack s2 1 0x401c00 0x401d00 0x401500 0x401300
stack s3 1 0x401e00 0x401800 0x401300
stack s4 1 0x401f00 0x401800 0x401300
vmas 1
  400+64 r-xp /srv/app inode=7
  20000+16384 rw-p
  c000000+524288 rw-p
)";
}

inline constexpr const char* kSendFrames = "0x401000 0x401100 0x401200 0x401300";
inline constexpr const char* kReadFrames = "0x401000 0x401600 0x401700 0x401800 0x401300";

// One moment: the heap's runs and counters, a scan of these heap pages and 1000 pages of code and data, goroutines.
inline std::string moment(int seconds, const std::string& heap, const std::string& pages,
                          const std::string& goroutines = "", const std::string& counters = "") {
  std::string out = fmt::format("@{} go-statistics 1 {}\n", seconds, counters);
  if (!goroutines.empty()) out += "goroutines 1" + goroutines + "\n";
  out += fmt::format("go-heap 1 quiet {}: {}\n", counters, heap);
  return out + fmt::format("scan 1: 400+40 file, {}\n", pages);
}

// Four equal moments, 10 s apart.
inline Explanation four_times(const std::string& heap, const std::string& pages, const std::string& counters,
                              const std::string& goroutines = "", const std::string& build = "go1.26.8") {
  std::string script = go_program(build);
  for (int i = 0; i < 4; ++i) script += moment(11 + 10 * i, heap, pages, goroutines, counters);
  return told(script);
}

}  // namespace memwhy::explain
