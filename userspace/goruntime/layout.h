// SPDX-License-Identifier: Apache-2.0
// Where the fields of the Go runtime's structures are, for one minor release on linux/amd64. Data, made by
// tools/go_layout from the DWARF of that release (layouts/go1_N.inc, each with the source line it comes
// from). Not a guess for releases that were not measured: layout_of() has none for them (dwarf_layout.h may), and
// the readers check.
//
//   Layout of go1.26:  mspan { start_addr {24, 8}, npages {32, 8}, spanclass {98, 1} … size 160 }
//   a span at 0x7f00'1234: its elemsize is the 8 bytes at 0x7f00'1234 + 104
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/machine.h"

namespace memwhy::goruntime {

// A field: offset in its struct and size, both in bytes. A slice or an array is read from its first byte.
struct Field {
  uint32_t offset = 0;
  uint32_t bytes = 0;
  constexpr bool present() const { return bytes != 0; }
};

constexpr Field kAbsent = {};  // this release has no such field

struct Layout {
  int minor = 0;
  std::string_view measured;  // the release whose DWARF was read

  struct {
    uint32_t size = 0;
    Field pages_summary, pages_chunks, pages_in_use, pages_sys_stat, sweepgen, allspans, pages_in_use_count,
        arenas, span_alloc_stat, cache_alloc_stat;
  } mheap;
  struct {
    uint32_t size = 0;
    Field spans, page_in_use;
  } heap_arena;
  struct {
    uint32_t size = 0;
    Field start_addr, npages, freeindex, nelems, alloc_bits, gcmark_bits, sweepgen, alloc_count, spanclass,
        state, elemsize, limit, specials, large_type;
  } mspan;
  struct {
    uint32_t size = 0;
    Field stack_lo, stack_hi, m, sched_sp, sched_pc, sched_bp, syscallsp, syscallpc, atomicstatus, goid,
        waitsince, waitreason, parent_goid, gopc, startpc, waiting, labels;
  } g;
  struct {
    uint32_t size = 0;
    Field g0, procid, gsignal, alllink;
  } m;
  struct {
    uint32_t size = 0;
    Field id, status, mcache, pcache_base, pcache_cache, pcache_scav;
  } p;
  struct {
    uint32_t size = 0;
    Field mem_prof_rate, alloc;
  } mcache;
  struct {
    uint32_t size = 0;
    Field allnext, typ, hash, object_size, nstk;
  } bucket;
  struct {
    uint32_t size = 0;
    Field active, future;
  } mem_record;
  struct {
    uint32_t size = 0;
    Field allocs, frees;
  } mem_record_cycle;
  struct {
    uint32_t size = 0;
    Field gc_percent, memory_limit, heap_minimum, gc_percent_heap_goal, sweep_dist_min_trigger, triggered,
        heap_live, heap_marked, heap_in_use, heap_released, heap_free, total_alloc, total_free, mapped_ready;
  } gc_controller;
  struct {
    uint32_t size = 0;
    Field heap_stats, stacks_sys, mspan_sys, mcache_sys, buckhash_sys, gc_misc_sys, other_sys, pause_total_ns,
        pause_ns, pause_end, numgc, numforcedgc, last_gc_nanotime;
  } mstats;
  struct {
    uint32_t size = 0;
    Field committed, released, in_heap, in_stacks, in_work_bufs, in_ptr_scalar_bits, tiny_alloc_count,
        large_alloc, large_alloc_count, small_alloc_count, large_free, large_free_count, small_free_count;
  } heap_stats_delta;
  struct {
    uint32_t size = 0;
    Field cycles;
  } work;
  struct {
    uint32_t size = 0;
    Field next, offset, kind;
  } special;
  struct {
    Field bucket;
  } special_profile;
  struct {
    Field g, elem, waitlink, channel;
  } sudog;
  struct {
    uint32_t size = 0;
    Field pc_header, funcnametab, ftab, minpc, maxpc, text, etext, noptrdata, enoptrdata, data, edata, bss,
        ebss, noptrbss, enoptrbss, types, etypes, gofunc, next;
  } moduledata;

  std::string_view wait_reasons[64];  // by number; "" none
  uint32_t special_profile_kind = 0;
};

// The measured layout of go1.`minor`; nullptr: not measured (older than 1.19, or newer than this memwhy).
// `machine`: as ProgramFacts::machine; of a process, the one that memwhy runs on.
const Layout* layout_of(int minor, std::string_view machine = machine::kName);
std::span<const Layout* const> all_layouts();  // oldest first

// Whether the collector of this build keeps the marks of small objects inside of their spans (Green Tea): the default from
// 1.26 on. "go1.25.4 X:greenteagc" and "go1.26.8-X:nogreenteagc,..." mean that a build chose otherwise.
bool has_green_tea(int minor, std::string_view version);

}  // namespace memwhy::goruntime
