// SPDX-License-Identifier: Apache-2.0
// One event of every kind, with a value in every field, and the few lines that every test of the trace file
// needs.
//
// A field that is added to a struct breaks the structured bindings below: give it a number in trace/fields.h
// or trace/rows.h, a line in FORMAT.md, and a value here.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "events/event.h"
#include "support/temporary_directory.h"
#include "trace/chunk.h"
#include "trace/output.h"
#include "trace/reader.h"
#include "trace/writer.h"
#include "unit/trace/go_samples.h"

namespace memwhy::events {
inline void PrintTo(const Event& event, std::ostream* out) { *out << describe(event, 0); }
}  // namespace memwhy::events

namespace memwhy::trace::test {

using namespace memwhy::events;  // NOLINT: tests are about events
using memwhy::test::TemporaryDirectory;

constexpr TimeNs kOrigin = 81'200'000'000;

inline StackId stack(uint32_t number) { return static_cast<StackId>(number); }
inline BinaryId binary(uint32_t number) { return static_cast<BinaryId>(number); }

inline Counters sample_counters() {
  return {space(1), 1'048'576, 4096, 8192, kBig, 5, 6, 7, 524'288, 12, 0, 1u << 30, kBig};
}

inline CgroupMemory sample_cgroup() {
  CgroupMemory cgroup{"/pod/web", true, 480, 512, kBig, 500, 300, 150, 20, 2, 10, 138, 1, 60};
  cgroup.slab_bytes = 8;
  cgroup.slab_reclaimable_bytes = 5;
  cgroup.kernel_stack_bytes = 3;
  cgroup.page_table_bytes = 4;
  cgroup.percpu_bytes = 0;
  cgroup.vmalloc_bytes = 1;
  cgroup.swap_bytes = 7;
  cgroup.swap_limit_bytes = 9;
  cgroup.high_events = 11;
  cgroup.max_events = 12;
  cgroup.oom_events = 13;
  cgroup.oom_kills = 14;
  cgroup.waited_some_us = 15;
  cgroup.waited_full_us = kBig;
  return cgroup;
}

inline std::vector<Vma> sample_vmas() {
  return {
      {{0x400000, 0x52a000}, true, false, true, false, 0x1000, 0xfe01, 1234, "/usr/bin/web", false, false},
      {{0x7f12'3460'0000, 0x7f12'7460'0000},
       true,
       true,
       false,
       false,
       0,
       0,
       0,
       "[anon: Go: heap]",
       false,
       false},
      {{0x7f12'7460'0000, 0x7f12'7470'0000},
       true,
       true,
       false,
       true,
       kBig,
       1,
       99,
       "/memfd:x (deleted)",
       true,
       true},
      {{0x7ffc'0000'0000, 0x7ffc'0002'1000}, false, false, false, false, 0, 0, 0, "", false, false},
      {{0xffff'ffff'ffff'f000, 0xffff'ffff'ffff'ffff},
       false,
       false,
       false,
       false,
       0,
       0,
       0,
       "\xff\n\"",
       false,
       false}};
}

inline Coverage sample_coverage() {
  Coverage all{{{"vma_map", 10, 9, 1}, {}}, {{"fault_user", 1000, 85'000}}};
  uint64_t n = 0;
  for (uint64_t* const each :
       {&all.faults_seen, &all.faults_recorded, &all.faults_table_full, &all.stacks_new, &all.stacks_lost,
        &all.stacks_unreadable, &all.frames_by_helper, &all.chunks_used, &all.chunks_limit, &all.stacks_used,
        &all.stacks_limit, &all.snapshots_taken})
    *each = ++n;
  all.snapshots_refused = kBig;
  return all;
}

// What a recording says of itself, and definitions.
inline std::vector<Payload> payloads_of_a_recording() {
  return {
      RecordingInfo{"0.1.0", "web-1", "6.18.5", "x86_64", 4, 16384, 3, {"pid 4711", "", "cgroup /x"}},
      RecordingInfo{},
      ClockAnchor{81'200'000'000, 81'300'000'000, 1'795'311'428'000'000'000, 4'295'213},
      HookReport{{{"page_fault_user", "tp_btf", "page faults in user mode"}, {"", "none", ""}},
                 "direct",
                 {"hugetlb", ""},
                 {{"CAP_BPF", "kept by sampler: to read the table"}, {"", ""}},
                 {"a sentence", ""}},
      sample_coverage(),
      Stack{stack(9), space(1), true, true, {0x45d2a1, 0x7f12'0000'0001, 0, ~uint64_t{0}, 5}},
      Stack{stack(10), space(2), false, false, {}, static_cast<Unwind>(255), 129},
      RuntimePages{space(1),
                   3,
                   "toy",
                   Trust::kUnverified,
                   "the sums do not agree",
                   {"slab", "", "slab"},
                   {{0xc0'0000'0000 >> 12, 16'384, 0, 64 << 20, 4096, kBig},
                    {0xc0'0400'0000 >> 12, 2, 2, 0, 0, 0},
                    {7, ~0u, 1, 0, 1, 2}},
                   {0x7f12'0000'0000, 0x7f12'0001'0000, kBig}},
      RuntimePages{},
      AllocatorHeap{space(1),
                    3,
                    "glibc",
                    "an arena was in motion",
                    5,
                    6,
                    7,
                    kBig,
                    9,
                    10,
                    11,
                    12,
                    13,
                    14,
                    15,
                    16,
                    17,
                    18,
                    19,
                    20,
                    21,
                    22,
                    23,
                    true,
                    {{1008, kBig}, {32, 1}, {kBig, 0}},
                    "G1",
                    26,
                    27,
                    true},
      AllocatorHeap{},
      BinaryInfo{binary(1),
                 "/usr/bin/web",
                 0xfe01,
                 1234,
                 "a1b2c3",
                 true,
                 true,
                 "cut off",
                 GoBuild{"go1.26.8", true, true, "madvdontneed=0", {"modernc.org/memory", ""}},
                 {{"main.table", ".noptrbss", kBig}, {"", ".bss", 1}},
                 {{0x1000, 0x2000, 0x401000}, {0, kBig, 1}}},
      BinaryInfo{binary(2), "/lib/libc.so.6", 1, 2, "", false, false, "", {}, {}},
      SymbolInfo{space(1), 0x45d2a1, true, binary(1), 0x5d2a1, {{"inner", "a.go", 7}, {"main.main", "", 0}}},
      SymbolInfo{space(1), 0x7f12'0000'0001, false, binary(2), 0, {}}};
}

// What happens to processes, and what is read of them.
inline std::vector<Payload> payloads_of_processes() {
  return {SpaceStart{space(1), 4711, StartHow::kExeced, space(7), "web", "/usr/bin/web (deleted)", binary(1),
                     kBig, "/system.slice/web", "x86-64"},
          SpaceStart{space(2), -1, StartHow::kAttached, SpaceId::kNone, "", "", BinaryId::kNone, 0, "", ""},
          SpaceEnd{space(2), EndWhy::kDetached},
          ProcessExit{space(2), 4712, 0x8900, 0},
          ProcessExit{space(2), 4712, 0, {}},
          OomVictim{space(1), 4711},
          ThreadList{space(1), {{4711, 0x7ffc'0000'1000, 0x7f12'0000'0740}, {4713, 0, 0}, {-5, kBig, 1}}},
          ThreadList{space(1), {}},
          sample_counters(),
          Counters{},
          VmaList{space(1), sample_vmas()},
          VmaList{space(1), {}},
          PageScan{space(1),
                   3,
                   81'100'000'000,
                   false,
                   "PAGEMAP_SCAN",
                   {{0x7f12'34600, 512, kScanHuge},
                    {0x7f12'34805, 1, 0},
                    {0x400, 3, kScanFile | kScanSwapped},
                    {kBig, 0xffff'ffff, 0xff}},
                   sample_counters(),
                   Counters{},
                   SharedPages{10 << 20, 150 << 20, kBig, 9, 6}},
          PageScan{},
          PageTableRuns{space(1),
                        true,
                        4'295'300,
                        {{0x7f12'34600, 512, stack(9), 4'295'213, kFaultWrite},
                         {0x7f12'34805, 1, StackId::kLost, 4'295'200, kFaultWrite | kFaultKernel},
                         {0x400, 7, StackId::kNone, kBig, 0}}},
          PageTableRuns{},
          sample_cgroup(),
          CgroupMemory{}};
}

inline std::vector<Payload> payloads_of_calls() {
  return {
      VmaMapped{space(1), 4713, {0x7f12'3460'0000, 0x7f12'7460'0000}, 3, 0x22, -1, 0, stack(9), 4'295'213},
      VmaUnmapped{
          space(1), 4713, {0x7f12'3460'0000, 0x7f12'3470'0000}, UnmapWhy::kMadvise, 4, stack(9), 4'295'214},
      VmaUnmapped{space(2), 4714, {0, 0x1000}, UnmapWhy::kBrk, 0, StackId::kNone, 0},
      VmaAdvised{space(1), 4713, {0x7f12'3460'0000, 0x7f12'3480'0000}, 14, StackId::kLost, 4'295'215},
      VmaMoved{space(1), 4713, {0x1000, 0x3000}, {0x9000, 0xd000}, stack(10), kBig},
      HeapGrown{space(1), 4713, {0x55550000, 0x55570000}, stack(9), 4'295'216},
      AllocationCall{space(1), 4713, kBig, stack(9), 4'295'217},
      VmaMapped{space(0xffff'ffff), -4713, {kBig, 5}, ~0u, ~0u, 77, kBig, stack(9), 1},
      Loss{space(1), "removal", kBig}};
}

// Every alternative; where a field is optional or a flag, once with and once without.
inline std::vector<Event> every_event() {
  std::vector<Payload> payloads;
  for (const std::vector<Payload>& part :
       {payloads_of_a_recording(), payloads_of_processes(), payloads_of_calls(), go_payloads()})
    payloads.insert(payloads.end(), part.begin(), part.end());
  payloads.push_back(RecordingEnd{"stopped"});
  std::vector<Event> events;
  TimeNs time = kOrigin;
  for (Payload& payload : payloads) {
    events.push_back({time, std::move(payload)});
    time += 10'000'000;
  }
  events[5].time -= 25'000'000;  // order is kept even where time goes back
  return events;
}

// How many fields each struct has: see above.
[[maybe_unused]] inline void every_field_is_known() {
  [[maybe_unused]] const auto& [i1, i2, i3, i4, i5, i6, i7, i8] = RecordingInfo{};
  [[maybe_unused]] const auto& [a1, a2, a3, a4] = ClockAnchor{};
  [[maybe_unused]] const auto& [h1, h2, h3] = Hook{};
  [[maybe_unused]] const auto& [r1, r2, r3, r4, r5] = HookReport{};
  [[maybe_unused]] const auto& [pv1, pv2] = Privilege{};
  [[maybe_unused]] const auto& [rr1, rr2, rr3, rr4, rr5, rr6] = RuntimeRun{};
  [[maybe_unused]] const auto& [ah1, ah2, ah3, ah4, ah5, ah6, ah7, ah8, ah9, ah10, ah11, ah12, ah13, ah14,
                                ah15, ah16, ah17, ah18, ah19, ah20, ah21, ah22, ah23, ah24, ah25, ah26, ah27,
                                ah28, ah29] = AllocatorHeap{};
  [[maybe_unused]] const auto& [as1, as2] = AllocatorSize{};
  [[maybe_unused]] const auto& [cg1, cg2, cg3, cg4, cg5, cg6, cg7, cg8, cg9, cg10, cg11, cg12, cg13, cg14,
                                cg15, cg16, cg17, cg18, cg19, cg20, cg21, cg22, cg23, cg24, cg25, cg26, cg27,
                                cg28] = CgroupMemory{};
  [[maybe_unused]] const auto& [rp1, rp2, rp3, rp4, rp5, rp6, rp7, rp8] = RuntimePages{};
  [[maybe_unused]] const auto& [p1, p2, p3, p4] = ProgramCost{};
  [[maybe_unused]] const auto& [k1, k2, k3, k4] = KindCount{};
  [[maybe_unused]] const auto& [c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15] =
      Coverage{};
  [[maybe_unused]] const auto& [l1, l2, l3] = Loss{};
  [[maybe_unused]] const auto& [al1, al2, al3, al4, al5] = AllocationCall{};
  [[maybe_unused]] const auto& [e1] = RecordingEnd{};
  [[maybe_unused]] const auto& [s1, s2, s3, s4, s5, s6, s7, s8, s9, s10] = SpaceStart{};
  [[maybe_unused]] const auto& [n1, n2] = SpaceEnd{};
  [[maybe_unused]] const auto& [x1, x2, x3, x4] = ProcessExit{};
  [[maybe_unused]] const auto& [o1, o2] = OomVictim{};
  [[maybe_unused]] const auto& [g1, g2, g3, g4, g5] = GoBuild{};
  [[maybe_unused]] const auto& [b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11] = BinaryInfo{};
  [[maybe_unused]] const auto& [cs1, cs2, cs3] = CodeSegment{};
  [[maybe_unused]] const auto& [va1, va2, va3] = ProgramVariable{};
  [[maybe_unused]] const auto& [f1, f2, f3] = SourceFrame{};
  [[maybe_unused]] const auto& [y1, y2, y3, y4, y5, y6] = SymbolInfo{};
  [[maybe_unused]] const auto& [t1, t2, t3] = Thread{};
  [[maybe_unused]] const auto& [tl1, tl2] = ThreadList{};
  [[maybe_unused]] const auto& [u1, u2, u3, u4, u5, u6, u7, u8, u9, u10, u11, u12, u13] = Counters{};
  [[maybe_unused]] const auto& [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11] = Vma{};
  [[maybe_unused]] const auto& [vl1, vl2] = VmaList{};
  [[maybe_unused]] const auto& [sr1, sr2, sr3] = ScanRun{};
  [[maybe_unused]] const auto& [ps1, ps2, ps3, ps4, ps5, ps6, ps7, ps8, ps9] = PageScan{};
  [[maybe_unused]] const auto& [sh1, sh2, sh3, sh4, sh5] = SharedPages{};
  [[maybe_unused]] const auto& [tr1, tr2, tr3, tr4, tr5] = TableRun{};
  [[maybe_unused]] const auto& [pt1, pt2, pt3, pt4] = PageTableRuns{};
  [[maybe_unused]] const auto& [st1, st2, st3, st4, st5, st6, st7] = Stack{};
  [[maybe_unused]] const auto& [m1, m2, m3, m4, m5, m6, m7, m8, m9] = VmaMapped{};
  [[maybe_unused]] const auto& [w1, w2, w3, w4, w5, w6, w7] = VmaUnmapped{};
  [[maybe_unused]] const auto& [d1, d2, d3, d4, d5, d6] = VmaAdvised{};
  [[maybe_unused]] const auto& [q1, q2, q3, q4, q5, q6] = VmaMoved{};
  [[maybe_unused]] const auto& [z1, z2, z3, z4, z5] = HeapGrown{};
}

class Collector : public EventSink {
 public:
  void on_event(const Event& event) override { events.push_back(event); }
  std::vector<Event> events;
};

constexpr std::array<uint8_t, 16> kUuid = {0x6f, 0x1c, 0x52, 0x0e, 0x3b, 0x7a, 0x4d, 0x10,
                                           0x9a, 0x44, 0x5e, 0x21, 0x80, 0xc3, 0x77, 0x01};

inline std::string bytes_of(int fd) {
  std::string bytes;
  char buffer[1 << 16];
  for (ssize_t got = 0; (got = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(bytes.size()))) > 0;) {
    bytes.append(buffer, static_cast<size_t>(got));
  }
  return bytes;
}

// The file that a writer makes of these events, each chunk holding at most `events_per_chunk` of them.
inline std::string recording_of(const std::vector<Event>& events, size_t events_per_chunk = 1u << 20,
                                const char* why = "stopped") {
  auto output = create_unlinked_output();
  EXPECT_TRUE(output.ok());
  auto writer = Writer::create(std::move(output).value(), {"", 0, kUuid});
  EXPECT_TRUE(writer.ok());
  size_t count = 0;
  for (const Event& event : events) {
    (*writer)->on_event(event);
    if (++count % events_per_chunk == 0) (*writer)->flush();
  }
  EXPECT_TRUE((*writer)->finish(why).ok());
  const Fd file = (*writer)->release();
  return bytes_of(file.get());
}

// A file header that is whole.
inline std::string file_header() {
  FileHeader header;
  header.uuid = kUuid;
  header.hash = hash_of(header);
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

}  // namespace memwhy::trace::test
