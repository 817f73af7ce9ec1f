// SPDX-License-Identifier: Apache-2.0
// Event scripts: a recording as a page of text, so that a test reads as text in, text out.
//
// What it is: one line for each event, in both directions. What it is not: a trace format; only tests read
// it, and a line that it does not understand throws std::invalid_argument with its number.
//
//   @0    attach 1 pid=4711 comm=web exe=/bin/web binary=b1       # the time stays until the next @
//   vmas 1
//     100+512 rw-p                                                # items: indented lines ...
//     400+16 r-xp /bin/web inode=7 offset=0x1000
//   @0.5  mmap 1 800+32 s2
//   @1    table 1: 100+16 s1 @0.9 w, 110+1 s1 @0.9 wk             # ... or after a colon, with commas
//   @2    scan 1: 100+17, 400+16 file
//
// Grammar
//   line    [@SECONDS] VERB SPACE OPERANDS [# comment]
//   time    seconds on CLOCK_MONOTONIC, decimal. Ticks are 250 Hz: tick = seconds * 250 (tick 0 at time 0)
//   range   HEXPAGE+COUNT (4 KiB pages, count decimal) or 0xSTART-0xEND (bytes)
//   stack   sN | - (none) | lost
//   bytes   N, NK, NM, NG
//   text    "quoted" when it has blanks; key="a b" too
//
//   info [tool= host= kernel= arch= cpus= part=] [what="pid 7"]     anchor       (ClockAnchor of this time)
//   hooks [NAME:ATTACH ...] [read=direct] [not_seen="a sentence"] [notice="a sentence"]   recording-end WHY
//   coverage [seen= recorded= full= stacks_new= stacks_lost= copied= refused=] [kind=NAME:SEEN:DELIVERED:LOST]
//          [prog=NAME:RUNS:NS]
//   binary bN PATH [inode= device= build= go=VERSION problem=] [race] [cgo] [stripped] [unreadable]
//          [module=PATH ...] [variable=NAME:SECTION:BYTES ...]
//   symbol SPACE 0xADDRESS [ret] [binary=bN] [offset=] [FUNCTION@FILE:LINE ...]       (innermost first)
//   stack sN SPACE 0xADDRESS ... [cut] [unreadable]
//   attach SPACE | fork CHILD from PARENT | exec NEW from OLD, each with
//          [pid= comm= exe= binary=bN started= cgroup= class=]
//   space-end SPACE exited|execed|detached      exit SPACE [pid= code= rss=BYTES]      oom SPACE [pid=]
//   threads SPACE TID:0xSP:0xTLS ...
//   counters SPACE [anon= file= shmem= swap= peak= tables= hugetlb= locked= error= (bytes)] [threads= usage= limit=]
//   vmas SPACE      items: RANGE rwxp|s [NAME] [inode= device= offset=] [shmem] [hugetlb]
//   scan SPACE [n= start=SECONDS] [incomplete]   items: RANGE [huge] [file] [swapped]   (n counts by itself)
//   table SPACE [asof=SECONDS] [restated]        items: RANGE STACK @SECONDS [w] [k] [wk]   (asof: this time)
//   mmap SPACE RANGE STACK [prot= flags= fd= offset=]
//   brk SPACE RANGE STACK                                           (the heap grew by RANGE)
//   munmap | fixed | brk-shrink SPACE RANGE [STACK]
//   dontneed | remove | dontneed-locked SPACE RANGE [STACK]         (VmaUnmapped, why kMadvise)
//   advise SPACE RANGE free|hugepage|collapse|populate|ADVICE [STACK]
//   mremap SPACE RANGE to RANGE [STACK]
//   runtime-pages SPACE RUNTIME [n=] [unverified|unreadable] [problem="a sentence"] [tables=] [uses=a/b]
//          items: RANGE USE [live= dead= free=]                     (uses: in order of appearance, if not given)
//   allocator-heap SPACE ALLOCATOR [n=] [problem="a sentence"] [fixed] [collector="G1"] [pretouched] [NUMBER= ...] [size=CHUNK-BYTES:BYTES ...]
//          (NUMBER: used trimmable huge pinned top cached mapped ..., as in event_script_allocator.cpp)
//   cgroup PATH [v2] usage=BYTES [NUMBER= ...]
//          (NUMBER: limit anon file reclaimable kernel kills ..., as in event_script_cgroup.cpp)
//   loss SPACE WHAT [COUNT]                                         (space 0: unknown)
//
// The Go runtime of a process:
//   go-statistics SPACE [GO-COUNTER ...] [pause=COLLECTION:END-UNIX-NS:NS ...] [large=BYTES:OBJECTS [small=BYTES:OBJECTS ...]]
//          (large, small: allocated since the program started; no large: not read)
//   go-reading SPACE [n=] [dwarf|unverified|none] [quiet] [spans= in_motion=] [GO-COUNTER ...]
//   go-heap, as go-reading, with [problem="a sentence"] [tables=]: the reading, and the runtime-pages of Go with it
//          items: RANGE heap|stack|work|idle|released|unknown|profiler [live= dead= free=]
//          (n: the scan that comes next; tables=0xADDRESS/0xADDRESS...: of the runtime's structures)
//   go-profile SPACE [off|unreadable] [rate=BYTES] [assumed]        (rate: 512K; 0 when off or unreadable)
//          items: OBJECT-BYTES [published=OBJECTS] [current=OBJECTS] 0xADDRESS ...    (innermost first)
//   allocates SPACE BYTES STACK                                     (a sampled call of malloc)
//   go-call SPACE FUNCTION BYTES STACK                              (large_allocation, heap_grow …)
//   goroutines SPACE [n=] [incomplete] [finalizers=WAITING:BYTES:OBJECTS] [held=BYTES:OBJECTS [cut]]   (n: the sum of the groups)
//          items: COUNT ["chan send"] [by=0xADDRESS] [stack=BYTES] [since=SECONDS] [kept=BYTES objects=]
//                 [large=0xADDRESS:BYTES[@0xADDRESS/0xADDRESS...] ...] 0xFRAME ...
//          (by: the go statement; large: an object and, innermost first, where it was allocated)
//   GO-COUNTER: in_use= free= released= mapped= stacks= work= live= allocated= freed= goal= metadata=
//          profiler= other= (bytes), limit=BYTES (none), gogc=PERCENT|off (100), gc=CYCLES
//
//   @5  go-statistics 1 in_use=70M free=1M goal=8M gc=12
//   @5  go-heap 1 in_use=70M free=1M gc=12 quiet: c000000+16384 heap live=64M, c004000+256 idle
//   @5  scan 1: c000000+16400
//   @6  goroutines 1: 5 "chan send" by=0x45 kept=320M objects=10 large=0xc000000000:64M@0x46/0x47 0x48 0x49
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "events/event.h"

namespace memwhy::testing {

constexpr uint64_t kScriptTickHz = 250;

// Throws std::invalid_argument, naming the line, for anything outside the grammar.
std::vector<events::Event> parse_script(std::string_view text);

// One event as a line (or block) of the grammar; parse_script(format_event(e)) gives e again.
std::string format_event(const events::Event& event);
std::string format_script(const std::vector<events::Event>& events);

// Parses and feeds in order.
void play(std::string_view text, events::EventSink& sink);

}  // namespace memwhy::testing
