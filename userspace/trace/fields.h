// SPDX-License-Identifier: Apache-2.0
// Which field of each event has which number in the file: the one list that the encoder and the decoder both
// walk, so that they can't differ. FORMAT.md has the same as a .proto. Numbers are never reused.
//
// Longer than usual because it is one list, and a list in two files is a list that differs.
//
// A visitor is called as visit(number, field) for each field of a message. Lists of rows are in rows.h.
#pragma once

#include "events/event.h"
#include "trace/column.h"
#include "trace/format.h"

namespace memwhy::trace {

template <>
inline constexpr uint64_t kGreatest<events::StartHow> = static_cast<uint64_t>(events::StartHow::kExeced);
template <>
inline constexpr uint64_t kGreatest<events::EndWhy> = static_cast<uint64_t>(events::EndWhy::kDetached);
template <>
inline constexpr uint64_t kGreatest<events::UnmapWhy> = static_cast<uint64_t>(events::UnmapWhy::kMadvise);
template <>
inline constexpr uint64_t kGreatest<events::GoLayout> = static_cast<uint64_t>(events::GoLayout::kDwarf);
template <>
inline constexpr uint64_t kGreatest<events::Trust> = static_cast<uint64_t>(events::Trust::kUnreadable);
template <>
inline constexpr uint64_t kGreatest<events::GoProfile::Source> =
    static_cast<uint64_t>(events::GoProfile::Source::kUnreadable);

template <>
inline constexpr uint64_t kGreatest<events::GoHolder::Kind> =
    static_cast<uint64_t>(events::GoHolder::Kind::kFinalizers);
template <>
inline constexpr uint64_t kGreatest<events::GoFunction> = events::kGoFunctions - 1;

// T or const T: the encoder walks constant events, the decoder fills them.
template <typename M, typename T>
concept Is = std::same_as<std::remove_const_t<M>, T>;

// The payload of a kEnd chunk.
struct End {
  EndHow how{};
  std::string why;                  // as events::RecordingEnd
  uint64_t events = 0;              // written to this part, restated ones included
  uint64_t events_not_written = 0;  // given to the writer when the output took no more
};

void fields(auto&& visit, Is<events::RecordingInfo> auto& m) {
  visit(1, m.tool_version);
  visit(2, m.host);
  visit(3, m.kernel_release);
  visit(4, m.architecture);
  visit(5, m.cpus);
  visit(6, m.page_bytes);
  visit(7, m.part);
  visit(8, m.what);
}
void fields(auto&& visit, Is<events::ClockAnchor> auto& m) {
  visit(1, m.monotonic_ns);
  visit(2, m.boottime_ns);
  visit(3, m.realtime_ns);
  visit(4, m.tick);
}
void fields(auto&& visit, Is<events::Hook> auto& m) {
  visit(1, m.name);
  visit(2, m.attach);
  visit(3, m.purpose);
}
void fields(auto&& visit, Is<events::Privilege> auto& m) {
  visit(1, m.name);
  visit(2, m.reason);
}
void fields(auto&& visit, Is<events::HookReport> auto& m) {
  visit(1, m.hooks);
  visit(2, m.stack_read);
  visit(3, m.not_seen);
  visit(4, m.privileges);
  visit(5, m.notices);
}
void fields(auto&& visit, Is<events::KindCount> auto& m) {
  visit(1, m.kind);
  visit(2, m.seen);
  visit(3, m.delivered);
  visit(4, m.lost);
}
void fields(auto&& visit, Is<events::ProgramCost> auto& m) {
  visit(1, m.program);
  visit(2, m.runs);
  visit(3, m.run_time_ns);
  visit(4, m.watched_ns);
}
void fields(auto&& visit, Is<events::Coverage> auto& m) {
  visit(1, m.kinds);
  visit(2, m.programs);
  visit(3, m.faults_seen);
  visit(4, m.faults_recorded);
  visit(5, m.faults_table_full);
  visit(6, m.stacks_new);
  visit(7, m.stacks_lost);
  visit(8, m.stacks_unreadable);
  visit(9, m.frames_by_helper);
  visit(10, m.chunks_used);
  visit(11, m.chunks_limit);
  visit(12, m.stacks_used);
  visit(13, m.stacks_limit);
  visit(14, m.snapshots_taken);
  visit(15, m.snapshots_refused);
}
void fields(auto&& visit, Is<events::RecordingEnd> auto& m) { visit(1, m.why); }
void fields(auto&& visit, Is<events::GoBuild> auto& m) {
  visit(1, m.version);
  visit(2, m.race);
  visit(3, m.cgo);
  visit(4, m.default_godebug);
  visit(5, m.modules);
}
void fields(auto&& visit, Is<events::ProgramVariable> auto& m) {
  visit(1, m.name);
  visit(2, m.section);
  visit(3, m.bytes);
}
void fields(auto&& visit, Is<events::CodeSegment> auto& m) {
  visit(1, m.file_offset);
  visit(2, m.bytes);
  visit(3, m.vaddr);
}
void fields(auto&& visit, Is<events::BinaryInfo> auto& m) {
  visit(1, m.id);
  visit(2, m.path);
  visit(3, m.device);
  visit(4, m.inode);
  visit(5, m.build_id);
  visit(6, m.stripped);
  visit(7, m.unreadable);
  visit(8, m.problem);
  visit(9, m.go);
  visit(10, m.variables);
  visit(11, m.code);
}
void fields(auto&& visit, Is<events::SourceFrame> auto& m) {
  visit(1, m.function);
  visit(2, m.file);
  visit(3, m.line);
}
void fields(auto&& visit, Is<events::SymbolInfo> auto& m) {
  visit(1, m.space);
  visit(2, m.address);
  visit(3, m.is_return);
  visit(4, m.binary);
  visit(5, m.file_offset);
  visit(6, m.frames);
}
void fields(auto&& visit, Is<events::SpaceStart> auto& m) {
  visit(1, m.space);
  visit(2, m.tgid);
  visit(3, m.how);
  visit(4, m.parent);
  visit(5, m.comm);
  visit(6, m.exe);
  visit(7, m.exe_binary);
  visit(8, m.started_ns);
  visit(9, m.cgroup);
  visit(10, m.elf_class);
}
void fields(auto&& visit, Is<events::SpaceEnd> auto& m) {
  visit(1, m.space);
  visit(2, m.why);
}
void fields(auto&& visit, Is<events::ProcessExit> auto& m) {
  visit(1, m.space);
  visit(2, m.tgid);
  visit(3, m.exit_code);
  visit(4, m.rss_bytes);
}
void fields(auto&& visit, Is<events::OomVictim> auto& m) {
  visit(1, m.space);
  visit(2, m.tgid);
}
void fields(auto&& visit, Is<events::ThreadList> auto& m) {
  visit(1, m.space);
  visit(2, m.threads);
}
void fields(auto&& visit, Is<events::Counters> auto& m) {
  visit(1, m.space);
  visit(2, m.rss_anon_bytes);
  visit(3, m.rss_file_bytes);
  visit(4, m.rss_shmem_bytes);
  visit(5, m.swap_bytes);
  visit(6, m.peak_bytes);
  visit(7, m.page_table_bytes);
  visit(8, m.hugetlb_bytes);
  visit(9, m.error_bytes);
  visit(10, m.threads);
  visit(11, m.cgroup_usage_bytes);
  visit(12, m.cgroup_limit_bytes);
  visit(13, m.locked_bytes);
}
void fields(auto&& visit, Is<events::VmaList> auto& m) {
  visit(1, m.space);
  visit(2, m.vmas);
}
void fields(auto&& visit, Is<events::SharedPages> auto& m) {
  visit(1, m.anonymous_bytes);
  visit(2, m.own_bytes);
  visit(3, m.memory_bytes);
  visit(4, m.anonymous_mappers);
  visit(5, m.memory_mappers);
}
void fields(auto&& visit, Is<events::PageScan> auto& m) {
  visit(1, m.space);
  visit(2, m.scan);
  visit(3, m.start);
  visit(4, m.complete);
  visit(5, m.method);
  visit(6, m.runs);
  visit(7, m.before);
  visit(8, m.after);
  visit(9, m.shared);
}
void fields(auto&& visit, Is<events::PageTableRuns> auto& m) {
  visit(1, m.space);
  visit(2, m.restated);
  visit(3, m.as_of_tick);
  visit(4, m.runs);
}
void fields(auto&& visit, Is<events::Stack> auto& m) {
  visit(1, m.id);
  visit(2, m.space);
  visit(3, m.cut);
  visit(4, m.unreadable);
  visit(5, m.frames);
  visit(6, m.unwind);  // any number: kGreatest is not set for it
  visit(7, m.certain);
}
void fields(auto&& visit, Is<events::Loss> auto& m) {
  visit(1, m.space);
  visit(2, m.what);
  visit(3, m.count);
}

void fields(auto&& visit, Is<events::GoCounters> auto& m) {
  visit(1, m.heap_in_use_bytes);
  visit(2, m.heap_free_bytes);
  visit(3, m.heap_released_bytes);
  visit(4, m.mapped_bytes);
  visit(5, m.stack_bytes);
  visit(6, m.work_buffer_bytes);
  visit(7, m.live_bytes);
  visit(8, m.allocated_bytes);
  visit(9, m.freed_bytes);
  visit(10, m.goal_bytes);
  visit(11, m.metadata_bytes);
  visit(12, m.profiler_bytes);
  visit(13, m.memory_limit_bytes);
  visit(14, m.gc_percent);
  visit(15, m.gc_cycles);
  visit(16, m.other_bytes);
}
void fields(auto&& visit, Is<events::GoPause> auto& m) {
  visit(1, m.collection);
  visit(2, m.end_unix_ns);
  visit(3, m.pause_ns);
}
void fields(auto&& visit, Is<events::GoAllocations> auto& m) {
  visit(1, m.small);
  visit(2, m.large_bytes);
  visit(3, m.large_objects);
}
void fields(auto&& visit, Is<events::GoStatistics> auto& m) {
  visit(1, m.space);
  visit(2, m.counters);
  visit(3, m.pauses);
  visit(4, m.allocations);
}
void fields(auto&& visit, Is<events::GoReading> auto& m) {
  visit(1, m.space);
  visit(2, m.scan);
  visit(3, m.layout);
  visit(4, m.quiet);
  visit(5, m.spans);
  visit(6, m.spans_in_motion);
  visit(7, m.counters);
}
void fields(auto&& visit, Is<events::GoBucket> auto& m) {
  visit(1, m.object_bytes);
  visit(2, m.published_objects);
  visit(3, m.current_objects);
  visit(4, m.stack);
}
void fields(auto&& visit, Is<events::GoProfile> auto& m) {
  visit(1, m.space);
  visit(2, m.source);
  visit(3, m.rate);
  visit(4, m.rate_assumed);
  visit(5, m.buckets);
}
void fields(auto&& visit, Is<events::GoKeptObject> auto& m) {
  visit(1, m.address);
  visit(2, m.bytes);
  visit(3, m.allocated_at);
}
void fields(auto&& visit, Is<events::GoGroup> auto& m) {
  visit(1, m.count);
  visit(2, m.wait_reason);
  visit(3, m.created_at);
  visit(4, m.frames);
  visit(5, m.stack_bytes);
  visit(6, m.oldest_wait_ns);
  visit(7, m.kept_bytes);
  visit(8, m.kept_objects);
  visit(9, m.large);
  visit(10, m.leaked);
}
void fields(auto&& visit, Is<events::GoFinalizers> auto& m) {
  visit(1, m.waiting);
  visit(2, m.kept_bytes);
  visit(3, m.kept_objects);
}
void fields(auto&& visit, Is<events::GoHolder> auto& m) {
  visit(1, m.kind);
  visit(2, m.name);
  visit(3, m.address);
  visit(4, m.count);
  visit(5, m.created_at);
  visit(6, m.frames);
  visit(7, m.bytes);
  visit(8, m.objects);
  visit(9, m.resident_bytes);
  visit(10, m.also_bytes);
  visit(11, m.sizes);
  visit(12, m.large);
  visit(13, m.slots);
  visit(14, m.entries);
  visit(15, m.pinned);
  visit(16, m.pinned_bytes);
  visit(17, m.used_bytes);
  visit(18, m.used_by);
  visit(19, m.pool_lists);
}
void fields(auto&& visit, Is<events::GoHeld> auto& m) {
  visit(1, m.complete);
  visit(2, m.bytes);
  visit(3, m.objects);
  visit(4, m.holders);
}
void fields(auto&& visit, Is<events::GoGoroutines> auto& m) {
  visit(1, m.space);
  visit(2, m.count);
  visit(3, m.complete);
  visit(4, m.groups);
  visit(5, m.finalizers);
  visit(6, m.held);
}
void fields(auto&& visit, Is<events::GoCall> auto& m) {
  visit(1, m.space);
  visit(2, m.tid);
  visit(3, m.function);
  visit(4, m.bytes);
  visit(5, m.stack);
  visit(6, m.tick);
}
void fields(auto&& visit, Is<events::AllocationCall> auto& m) {
  visit(1, m.space);
  visit(2, m.tid);
  visit(3, m.bytes);
  visit(4, m.stack);
  visit(5, m.tick);
}

void fields(auto&& visit, Is<events::RuntimePages> auto& m) {
  visit(1, m.space);
  visit(2, m.scan);
  visit(3, m.runtime);
  visit(4, m.trust);
  visit(5, m.problem);
  visit(6, m.uses);
  visit(7, m.runs);
  visit(8, m.tables);
}
void fields(auto&& visit, Is<events::AllocatorHeap> auto& m) {
  visit(1, m.space);
  visit(2, m.scan);
  visit(3, m.allocator);
  visit(4, m.problem);
  visit(5, m.age_ns);
  visit(6, m.arenas);
  visit(7, m.unread_arenas);
  visit(8, m.system_bytes);
  visit(9, m.used_bytes);
  visit(10, m.trimmable_bytes);
  visit(11, m.trimmable_huge_bytes);
  visit(12, m.pinned_bytes);
  visit(13, m.top_bytes);
  visit(14, m.cached_bytes);
  visit(15, m.free_beside_main_bytes);
  visit(16, m.large_free_bytes);
  visit(17, m.mapped_bytes);
  visit(18, m.mapped_chunks);
  visit(19, m.caches);
  visit(20, m.unknown_bytes);
  visit(21, m.arena_max);
  visit(22, m.mmap_threshold);
  visit(23, m.trim_threshold);
  visit(24, m.thresholds_fixed);
  visit(25, m.sizes);
  visit(26, m.collector);
  visit(27, m.collections);
  visit(28, m.collection_interval_ms);
  visit(29, m.pretouched);
}

void fields(auto&& visit, Is<events::CgroupMemory> auto& m) {
  visit(1, m.path);
  visit(2, m.unified);
  visit(3, m.usage_bytes);
  visit(4, m.limit_bytes);
  visit(5, m.high_bytes);
  visit(6, m.peak_bytes);
  visit(7, m.anon_bytes);
  visit(8, m.file_bytes);
  visit(9, m.kernel_bytes);
  visit(10, m.sock_bytes);
  visit(11, m.shmem_bytes);
  visit(12, m.reclaimable_bytes);
  visit(13, m.dirty_bytes);
  visit(14, m.mapped_bytes);
  visit(15, m.slab_bytes);
  visit(16, m.slab_reclaimable_bytes);
  visit(17, m.kernel_stack_bytes);
  visit(18, m.page_table_bytes);
  visit(19, m.percpu_bytes);
  visit(20, m.vmalloc_bytes);
  visit(21, m.swap_bytes);
  visit(22, m.swap_limit_bytes);
  visit(23, m.high_events);
  visit(24, m.max_events);
  visit(25, m.oom_events);
  visit(26, m.oom_kills);
  visit(27, m.waited_some_us);
  visit(28, m.waited_full_us);
}

void fields(auto&& visit, Is<End> auto& m) {
  visit(1, m.how);
  visit(2, m.why);
  visit(3, m.events);
  visit(4, m.events_not_written);
}

}  // namespace memwhy::trace
