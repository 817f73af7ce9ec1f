// SPDX-License-Identifier: Apache-2.0
#include "goruntime/layout_fields.h"

#include <array>

namespace memwhy::goruntime {
namespace {

// The name of a member of Layout, and the way to it, from one word.
#define MEMWHY_SIZE(member) "size", "", [](Layout& l) -> uint32_t* { return &l.member.size; }, nullptr
#define MEMWHY_FIELD(member, name, path) \
  #name, path, nullptr, [](Layout& l) -> Field* { return &l.member.name; }

constexpr std::array kMheap = {
    LayoutField{MEMWHY_SIZE(mheap)},
    LayoutField{MEMWHY_FIELD(mheap, pages_summary, "pages.summary")},
    LayoutField{MEMWHY_FIELD(mheap, pages_chunks, "pages.chunks")},
    LayoutField{MEMWHY_FIELD(mheap, pages_in_use, "pages.inUse.ranges")},
    LayoutField{MEMWHY_FIELD(mheap, pages_sys_stat, "pages.sysStat")},
    LayoutField{MEMWHY_FIELD(mheap, sweepgen, "sweepgen")},
    LayoutField{MEMWHY_FIELD(mheap, allspans, "allspans")},
    LayoutField{MEMWHY_FIELD(mheap, pages_in_use_count, "pagesInUse")},
    LayoutField{MEMWHY_FIELD(mheap, arenas, "arenas")},
    LayoutField{MEMWHY_FIELD(mheap, span_alloc_stat, "spanalloc.stat")},
    LayoutField{MEMWHY_FIELD(mheap, cache_alloc_stat, "cachealloc.stat")},
};
constexpr std::array kHeapArena = {
    LayoutField{MEMWHY_SIZE(heap_arena)},
    LayoutField{MEMWHY_FIELD(heap_arena, spans, "spans")},
    LayoutField{MEMWHY_FIELD(heap_arena, page_in_use, "pageInUse")},
};
constexpr std::array kMspan = {
    LayoutField{MEMWHY_SIZE(mspan)},
    LayoutField{MEMWHY_FIELD(mspan, start_addr, "startAddr")},
    LayoutField{MEMWHY_FIELD(mspan, npages, "npages")},
    LayoutField{MEMWHY_FIELD(mspan, freeindex, "freeindex")},
    LayoutField{MEMWHY_FIELD(mspan, nelems, "nelems")},
    LayoutField{MEMWHY_FIELD(mspan, alloc_bits, "allocBits")},
    LayoutField{MEMWHY_FIELD(mspan, gcmark_bits, "gcmarkBits")},
    LayoutField{MEMWHY_FIELD(mspan, sweepgen, "sweepgen")},
    LayoutField{MEMWHY_FIELD(mspan, alloc_count, "allocCount")},
    LayoutField{MEMWHY_FIELD(mspan, spanclass, "spanclass")},
    LayoutField{MEMWHY_FIELD(mspan, state, "state")},
    LayoutField{MEMWHY_FIELD(mspan, elemsize, "elemsize")},
    LayoutField{MEMWHY_FIELD(mspan, limit, "limit")},
    LayoutField{MEMWHY_FIELD(mspan, specials, "specials")},
    LayoutField{MEMWHY_FIELD(mspan, large_type, "largeType")},
};
constexpr std::array kG = {
    LayoutField{MEMWHY_SIZE(g)},
    LayoutField{MEMWHY_FIELD(g, stack_lo, "stack.lo")},
    LayoutField{MEMWHY_FIELD(g, stack_hi, "stack.hi")},
    LayoutField{MEMWHY_FIELD(g, m, "m")},
    LayoutField{MEMWHY_FIELD(g, sched_sp, "sched.sp")},
    LayoutField{MEMWHY_FIELD(g, sched_pc, "sched.pc")},
    LayoutField{MEMWHY_FIELD(g, sched_bp, "sched.bp")},
    LayoutField{MEMWHY_FIELD(g, syscallsp, "syscallsp")},
    LayoutField{MEMWHY_FIELD(g, syscallpc, "syscallpc")},
    LayoutField{MEMWHY_FIELD(g, atomicstatus, "atomicstatus")},
    LayoutField{MEMWHY_FIELD(g, goid, "goid")},
    LayoutField{MEMWHY_FIELD(g, waitsince, "waitsince")},
    LayoutField{MEMWHY_FIELD(g, waitreason, "waitreason")},
    LayoutField{MEMWHY_FIELD(g, parent_goid, "parentGoid")},
    LayoutField{MEMWHY_FIELD(g, gopc, "gopc")},
    LayoutField{MEMWHY_FIELD(g, startpc, "startpc")},
    LayoutField{MEMWHY_FIELD(g, waiting, "waiting")},
    LayoutField{MEMWHY_FIELD(g, labels, "labels")},
};
constexpr std::array kM = {
    LayoutField{MEMWHY_SIZE(m)},
    LayoutField{MEMWHY_FIELD(m, g0, "g0")},
    LayoutField{MEMWHY_FIELD(m, procid, "procid")},
    LayoutField{MEMWHY_FIELD(m, gsignal, "gsignal")},
    LayoutField{MEMWHY_FIELD(m, alllink, "alllink")},
};
constexpr std::array kP = {
    LayoutField{MEMWHY_SIZE(p)},
    LayoutField{MEMWHY_FIELD(p, id, "id")},
    LayoutField{MEMWHY_FIELD(p, status, "status")},
    LayoutField{MEMWHY_FIELD(p, mcache, "mcache")},
    LayoutField{MEMWHY_FIELD(p, pcache_base, "pcache.base")},
    LayoutField{MEMWHY_FIELD(p, pcache_cache, "pcache.cache")},
    LayoutField{MEMWHY_FIELD(p, pcache_scav, "pcache.scav")},
};
constexpr std::array kMcache = {
    LayoutField{MEMWHY_SIZE(mcache)},
    LayoutField{MEMWHY_FIELD(mcache, mem_prof_rate, "memProfRate")},
    LayoutField{MEMWHY_FIELD(mcache, alloc, "alloc")},
};
constexpr std::array kBucket = {
    LayoutField{MEMWHY_SIZE(bucket)},
    LayoutField{MEMWHY_FIELD(bucket, allnext, "allnext")},
    LayoutField{MEMWHY_FIELD(bucket, typ, "typ")},
    LayoutField{MEMWHY_FIELD(bucket, hash, "hash")},
    LayoutField{MEMWHY_FIELD(bucket, object_size, "size")},
    LayoutField{MEMWHY_FIELD(bucket, nstk, "nstk")},
};
constexpr std::array kMemRecord = {
    LayoutField{MEMWHY_SIZE(mem_record)},
    LayoutField{MEMWHY_FIELD(mem_record, active, "active")},
    LayoutField{MEMWHY_FIELD(mem_record, future, "future")},
};
constexpr std::array kMemRecordCycle = {
    LayoutField{MEMWHY_SIZE(mem_record_cycle)},
    LayoutField{MEMWHY_FIELD(mem_record_cycle, allocs, "allocs")},
    LayoutField{MEMWHY_FIELD(mem_record_cycle, frees, "frees")},
};
constexpr std::array kGcController = {
    LayoutField{MEMWHY_SIZE(gc_controller)},
    LayoutField{MEMWHY_FIELD(gc_controller, gc_percent, "gcPercent")},
    LayoutField{MEMWHY_FIELD(gc_controller, memory_limit, "memoryLimit")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_minimum, "heapMinimum")},
    LayoutField{MEMWHY_FIELD(gc_controller, gc_percent_heap_goal, "gcPercentHeapGoal")},
    LayoutField{MEMWHY_FIELD(gc_controller, sweep_dist_min_trigger, "sweepDistMinTrigger")},
    LayoutField{MEMWHY_FIELD(gc_controller, triggered, "triggered")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_live, "heapLive")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_marked, "heapMarked")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_in_use, "heapInUse")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_released, "heapReleased")},
    LayoutField{MEMWHY_FIELD(gc_controller, heap_free, "heapFree")},
    LayoutField{MEMWHY_FIELD(gc_controller, total_alloc, "totalAlloc")},
    LayoutField{MEMWHY_FIELD(gc_controller, total_free, "totalFree")},
    LayoutField{MEMWHY_FIELD(gc_controller, mapped_ready, "mappedReady")},
};
constexpr std::array kMstats = {
    LayoutField{MEMWHY_SIZE(mstats)},
    LayoutField{MEMWHY_FIELD(mstats, heap_stats, "heapStats.stats")},
    LayoutField{MEMWHY_FIELD(mstats, stacks_sys, "stacks_sys")},
    LayoutField{MEMWHY_FIELD(mstats, mspan_sys, "mspan_sys")},
    LayoutField{MEMWHY_FIELD(mstats, mcache_sys, "mcache_sys")},
    LayoutField{MEMWHY_FIELD(mstats, buckhash_sys, "buckhash_sys")},
    LayoutField{MEMWHY_FIELD(mstats, gc_misc_sys, "gcMiscSys")},
    LayoutField{MEMWHY_FIELD(mstats, other_sys, "other_sys")},
    LayoutField{MEMWHY_FIELD(mstats, pause_total_ns, "pause_total_ns")},
    LayoutField{MEMWHY_FIELD(mstats, pause_ns, "pause_ns")},
    LayoutField{MEMWHY_FIELD(mstats, pause_end, "pause_end")},
    LayoutField{MEMWHY_FIELD(mstats, numgc, "numgc")},
    LayoutField{MEMWHY_FIELD(mstats, numforcedgc, "numforcedgc")},
    LayoutField{MEMWHY_FIELD(mstats, last_gc_nanotime, "last_gc_nanotime")},
};
constexpr std::array kHeapStatsDelta = {
    LayoutField{MEMWHY_SIZE(heap_stats_delta)},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, committed, "committed")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, released, "released")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, in_heap, "inHeap")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, in_stacks, "inStacks")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, in_work_bufs, "inWorkBufs")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, in_ptr_scalar_bits, "inPtrScalarBits")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, tiny_alloc_count, "tinyAllocCount")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, large_alloc, "largeAlloc")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, large_alloc_count, "largeAllocCount")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, small_alloc_count, "smallAllocCount")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, large_free, "largeFree")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, large_free_count, "largeFreeCount")},
    LayoutField{MEMWHY_FIELD(heap_stats_delta, small_free_count, "smallFreeCount")},
};
constexpr std::array kWork = {
    LayoutField{MEMWHY_SIZE(work)},
    LayoutField{MEMWHY_FIELD(work, cycles, "cycles")},
};
constexpr std::array kSpecial = {
    LayoutField{MEMWHY_SIZE(special)},
    LayoutField{MEMWHY_FIELD(special, next, "next")},
    LayoutField{MEMWHY_FIELD(special, offset, "offset")},
    LayoutField{MEMWHY_FIELD(special, kind, "kind")},
};
constexpr std::array kSpecialProfileFields = {
    LayoutField{MEMWHY_FIELD(special_profile, bucket, "b")},
};
constexpr std::array kSudog = {
    LayoutField{MEMWHY_FIELD(sudog, g, "g")},
    LayoutField{MEMWHY_FIELD(sudog, elem, "elem")},
    LayoutField{MEMWHY_FIELD(sudog, waitlink, "waitlink")},
    LayoutField{MEMWHY_FIELD(sudog, channel, "c")},
};
constexpr std::array kModuledata = {
    LayoutField{MEMWHY_SIZE(moduledata)},
    LayoutField{MEMWHY_FIELD(moduledata, pc_header, "pcHeader")},
    LayoutField{MEMWHY_FIELD(moduledata, funcnametab, "funcnametab")},
    LayoutField{MEMWHY_FIELD(moduledata, ftab, "ftab")},
    LayoutField{MEMWHY_FIELD(moduledata, minpc, "minpc")},
    LayoutField{MEMWHY_FIELD(moduledata, maxpc, "maxpc")},
    LayoutField{MEMWHY_FIELD(moduledata, text, "text")},
    LayoutField{MEMWHY_FIELD(moduledata, etext, "etext")},
    LayoutField{MEMWHY_FIELD(moduledata, noptrdata, "noptrdata")},
    LayoutField{MEMWHY_FIELD(moduledata, enoptrdata, "enoptrdata")},
    LayoutField{MEMWHY_FIELD(moduledata, data, "data")},
    LayoutField{MEMWHY_FIELD(moduledata, edata, "edata")},
    LayoutField{MEMWHY_FIELD(moduledata, bss, "bss")},
    LayoutField{MEMWHY_FIELD(moduledata, ebss, "ebss")},
    LayoutField{MEMWHY_FIELD(moduledata, noptrbss, "noptrbss")},
    LayoutField{MEMWHY_FIELD(moduledata, enoptrbss, "enoptrbss")},
    LayoutField{MEMWHY_FIELD(moduledata, types, "types")},
    LayoutField{MEMWHY_FIELD(moduledata, etypes, "etypes")},
    LayoutField{MEMWHY_FIELD(moduledata, gofunc, "gofunc")},
    LayoutField{MEMWHY_FIELD(moduledata, next, "next")},
};

#undef MEMWHY_SIZE
#undef MEMWHY_FIELD

constexpr std::array kStructs = {
    LayoutStruct{"mheap", "runtime.mheap", kMheap},
    LayoutStruct{"heap_arena", "runtime.heapArena", kHeapArena},
    LayoutStruct{"mspan", "runtime.mspan", kMspan},
    LayoutStruct{"g", "runtime.g", kG},
    LayoutStruct{"m", "runtime.m", kM},
    LayoutStruct{"p", "runtime.p", kP},
    LayoutStruct{"mcache", "runtime.mcache", kMcache},
    LayoutStruct{"bucket", "runtime.bucket", kBucket},
    LayoutStruct{"mem_record", "runtime.memRecord", kMemRecord},
    LayoutStruct{"mem_record_cycle", "runtime.memRecordCycle", kMemRecordCycle},
    LayoutStruct{"gc_controller", "runtime.gcControllerState", kGcController},
    LayoutStruct{"mstats", "runtime.mstats", kMstats},
    LayoutStruct{"heap_stats_delta", "runtime.heapStatsDelta", kHeapStatsDelta},
    LayoutStruct{"work", "runtime.workType", kWork},
    LayoutStruct{"special", "runtime.special", kSpecial},
    LayoutStruct{"special_profile", "runtime.specialprofile", kSpecialProfileFields},
    LayoutStruct{"sudog", "runtime.sudog", kSudog},
    LayoutStruct{"moduledata", "runtime.moduledata", kModuledata},
};

}  // namespace

std::span<const LayoutStruct> layout_structs() { return kStructs; }

}  // namespace memwhy::goruntime
