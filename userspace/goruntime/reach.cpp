// SPDX-License-Identifier: Apache-2.0
#include "goruntime/reach.h"

#include <algorithm>
#include <utility>

#include "goruntime/heap_walk.h"

namespace memwhy::goruntime {
namespace {

using Color = HeapWalk::Color;
constexpr uint64_t kTurnObjects = 4096, kTurnBytes = 1 << 20;  // of a group, before the next one's turn

// Each group has its own queue and its turn, so that none spends what another needs.
void walk_groups(HeapWalk& walk, std::span<const Members> groups, std::span<const uint64_t> queued) {
  std::vector<HeapWalk::Queue> queues(groups.size() + 1);
  for (size_t k = 0; k < groups.size(); ++k) {
    walk.scan_goroutines(groups[k], static_cast<Color>(HeapWalk::kFirst + k));
    std::swap(walk.queue(), queues[k]);
  }
  for (const uint64_t object : queued)
    walk.visit(object, static_cast<Color>(HeapWalk::kFirst + groups.size()));
  std::swap(walk.queue(), queues.back());
  for (bool more = true; more && !walk.exhausted();) {
    more = false;
    for (HeapWalk::Queue& queue : queues) {
      std::swap(walk.queue(), queue);
      const uint64_t objects = walk.seen().size() + kTurnObjects, bytes = walk.bytes_read() + kTurnBytes;
      while (!walk.queue().empty() && walk.seen().size() < objects && walk.bytes_read() < bytes &&
             !walk.exhausted())
        walk.step();
      std::swap(walk.queue(), queue);
      more = more || !queue.empty();
    }
  }
}

Reach collect(const HeapWalk& walk, size_t groups) {
  Reach out;
  out.groups.resize(groups + 1);
  walk.seen().for_each([&](uint64_t address, Color first, bool shared) {
    if (shared || first == HeapWalk::kShared) return;
    GroupReach& group = out.groups[first - HeapWalk::kFirst];
    const uint64_t bytes = HeapWalk::Object{address, walk.span_of(address)}.bytes();
    group.exclusive_bytes += bytes;
    ++group.exclusive_objects;
    if (bytes >= kLargeBytes) group.large.push_back({address, bytes, {}});
  });
  for (GroupReach& group : out.groups) keep_largest(walk, group.large, kMostLarge);
  out.queued = std::move(out.groups.back());
  out.groups.pop_back();
  out.finished = walk.finished();
  out.objects_walked = walk.seen().size();
  out.bytes_read = walk.bytes_read();
  out.stacks_by_map = walk.stacks_by_map();
  out.stacks_by_word = walk.stacks_by_word();
  return out;
}

}  // namespace

void keep_largest(const HeapWalk& walk, std::vector<KeptObject>& objects, size_t most) {
  std::sort(objects.begin(), objects.end(), [](const KeptObject& a, const KeptObject& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.address < b.address;
  });
  if (objects.size() > most) objects.resize(most);
  for (KeptObject& object : objects) object.allocated_at = walk.allocated_at(object.address);
}

Reach reach(remote::RemoteMemory& memory, const Globals& globals, SpanTable& spans, const GoroutineList& list,
            std::span<const Members> groups, const ReachBudget& budget, std::span<const uint64_t> queued) {
  HeapWalk walk(memory, globals, spans, list, budget);
  walk.scan_variables([](uint64_t) { return HeapWalk::kShared; });
  walk.scan_goroutines(in_no_group(list, groups), HeapWalk::kShared);
  walk.drain();
  walk.allow_more(budget.group_objects, budget.group_bytes);
  walk_groups(walk, groups, queued);
  return collect(walk, groups.size());
}

}  // namespace memwhy::goruntime
