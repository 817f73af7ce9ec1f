// SPDX-License-Identifier: Apache-2.0

package main

// What memwhy reads of the Go runtime: the one list. The C++ side is userspace/goruntime/layout.h, whose structs
// have the same names in the same order (a layout file does not compile otherwise).
//
// A field path goes through nested structs ("stack.lo"). "size" is the type's size.
var types = []struct {
	name   string // of the member of Layout
	goType string
	fields []struct{ name, path string }
}{
	{"mheap", "runtime.mheap", pairs(
		"size", "", "pages_summary", "pages.summary", "pages_chunks", "pages.chunks",
		"pages_in_use", "pages.inUse.ranges", "pages_sys_stat", "pages.sysStat", "sweepgen", "sweepgen",
		"allspans", "allspans", "pages_in_use_count", "pagesInUse", "arenas", "arenas",
		"span_alloc_stat", "spanalloc.stat", "cache_alloc_stat", "cachealloc.stat")},
	{"heap_arena", "runtime.heapArena", pairs(
		"size", "", "spans", "spans", "page_in_use", "pageInUse")},
	{"mspan", "runtime.mspan", pairs(
		"size", "", "start_addr", "startAddr", "npages", "npages", "freeindex", "freeindex", "nelems", "nelems",
		"alloc_bits", "allocBits", "gcmark_bits", "gcmarkBits", "sweepgen", "sweepgen",
		"alloc_count", "allocCount", "spanclass", "spanclass", "state", "state", "elemsize", "elemsize",
		"limit", "limit", "specials", "specials", "large_type", "largeType")},
	{"g", "runtime.g", pairs(
		"size", "", "stack_lo", "stack.lo", "stack_hi", "stack.hi", "m", "m", "sched_sp", "sched.sp",
		"sched_pc", "sched.pc", "sched_bp", "sched.bp", "syscallsp", "syscallsp", "syscallpc", "syscallpc",
		"atomicstatus", "atomicstatus", "goid", "goid", "waitsince", "waitsince", "waitreason", "waitreason",
		"parent_goid", "parentGoid", "gopc", "gopc", "startpc", "startpc", "waiting", "waiting", "labels", "labels")},
	{"m", "runtime.m", pairs("size", "", "g0", "g0", "procid", "procid", "gsignal", "gsignal", "alllink", "alllink")},
	{"p", "runtime.p", pairs(
		"size", "", "id", "id", "status", "status", "mcache", "mcache", "pcache_base", "pcache.base",
		"pcache_cache", "pcache.cache", "pcache_scav", "pcache.scav")},
	{"mcache", "runtime.mcache", pairs("size", "", "mem_prof_rate", "memProfRate", "alloc", "alloc")},
	{"bucket", "runtime.bucket", pairs(
		"size", "", "allnext", "allnext", "typ", "typ", "hash", "hash", "object_size", "size", "nstk", "nstk")},
	{"mem_record", "runtime.memRecord", pairs("size", "", "active", "active", "future", "future")},
	{"mem_record_cycle", "runtime.memRecordCycle", pairs("size", "", "allocs", "allocs", "frees", "frees")},
	{"gc_controller", "runtime.gcControllerState", pairs(
		"size", "", "gc_percent", "gcPercent", "memory_limit", "memoryLimit", "heap_minimum", "heapMinimum",
		"gc_percent_heap_goal", "gcPercentHeapGoal", "sweep_dist_min_trigger", "sweepDistMinTrigger",
		"triggered", "triggered", "heap_live", "heapLive", "heap_marked", "heapMarked",
		"heap_in_use", "heapInUse", "heap_released", "heapReleased", "heap_free", "heapFree",
		"total_alloc", "totalAlloc", "total_free", "totalFree", "mapped_ready", "mappedReady")},
	{"mstats", "runtime.mstats", pairs(
		"size", "", "heap_stats", "heapStats.stats", "stacks_sys", "stacks_sys", "mspan_sys", "mspan_sys",
		"mcache_sys", "mcache_sys", "buckhash_sys", "buckhash_sys", "gc_misc_sys", "gcMiscSys",
		"other_sys", "other_sys", "pause_total_ns", "pause_total_ns", "pause_ns", "pause_ns",
		"pause_end", "pause_end", "numgc", "numgc", "numforcedgc", "numforcedgc",
		"last_gc_nanotime", "last_gc_nanotime")},
	{"heap_stats_delta", "runtime.heapStatsDelta", pairs(
		"size", "", "committed", "committed", "released", "released", "in_heap", "inHeap", "in_stacks", "inStacks",
		"in_work_bufs", "inWorkBufs", "in_ptr_scalar_bits", "inPtrScalarBits",
		"tiny_alloc_count", "tinyAllocCount", "large_alloc", "largeAlloc", "large_alloc_count", "largeAllocCount",
		"small_alloc_count", "smallAllocCount", "large_free", "largeFree", "large_free_count", "largeFreeCount",
		"small_free_count", "smallFreeCount")},
	{"work", "runtime.workType", pairs("size", "", "cycles", "cycles")},
	{"special", "runtime.special", pairs("size", "", "next", "next", "offset", "offset", "kind", "kind")},
	{"special_profile", "runtime.specialprofile", pairs("bucket", "b")},
	{"sudog", "runtime.sudog", pairs("g", "g", "elem", "elem", "waitlink", "waitlink", "channel", "c")},
	{"moduledata", "runtime.moduledata", pairs(
		"size", "", "pc_header", "pcHeader", "funcnametab", "funcnametab", "ftab", "ftab", "minpc", "minpc",
		"maxpc", "maxpc", "text", "text", "etext", "etext", "noptrdata", "noptrdata", "enoptrdata", "enoptrdata",
		"data", "data", "edata", "edata", "bss", "bss", "ebss", "ebss", "noptrbss", "noptrbss",
		"enoptrbss", "enoptrbss", "types", "types", "etypes", "etypes", "gofunc", "gofunc", "next", "next")},
}

func pairs(words ...string) (out []struct{ name, path string }) {
	for i := 0; i < len(words); i += 2 {
		out = append(out, struct{ name, path string }{words[i], words[i+1]})
	}
	return out
}
