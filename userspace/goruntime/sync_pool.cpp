// SPDX-License-Identifier: Apache-2.0
#include "goruntime/sync_pool.h"

#include <algorithm>
#include <vector>

#include "goruntime/words.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kPoolBytes = 40;               // local, localSize, victim, victimSize, New
constexpr uint64_t kListBytes = 128, kUsed = 32;  // the rest of a list is padding
constexpr uint64_t kMostLists = 4096;             // more Ps than any machine has

// `at`: the place of the address and the length of the lists.
uint64_t lists_at(remote::RemoteMemory& memory, const HeapWalk& walk, uint64_t at) {
  std::vector<std::byte> words(16);
  HeapWalk::Object object;
  if (!memory.read(at, words) || !walk.object_of(word(words, 0), object)) return 0;
  const uint64_t lists = word(words, 8);
  if (object.address != word(words, 0) || lists == 0 || lists > kMostLists ||
      lists * kListBytes > object.bytes() || lists * kListBytes * 2 <= object.bytes())
    return 0;
  std::vector<std::byte> all(lists * kListBytes);
  if (!memory.read(object.address, all)) return 0;
  bool holds = false;  // zeros are like any object that was never written
  for (uint64_t i = 0; i < lists; ++i) {
    HeapWalk::Object kept;
    for (uint64_t used = 0; used < kUsed && !holds; used += 8)
      holds = walk.object_of(word(all, i * kListBytes + used), kept);
    const auto padding = all.begin() + static_cast<std::ptrdiff_t>(i * kListBytes + kUsed);
    if (std::any_of(padding, padding + (kListBytes - kUsed),
                    [](std::byte each) { return each != std::byte{}; }))
      return 0;
  }
  return holds ? lists : 0;
}

}  // namespace

uint64_t pool_lists(remote::RemoteMemory& memory, const HeapWalk& walk, AddressRange variable) {
  if (variable.bytes() != kPoolBytes && variable.bytes() != 8) return 0;
  const uint64_t lists = lists_at(memory, walk, variable.start);
  return lists != 0 || variable.bytes() == 8 ? lists : lists_at(memory, walk, variable.start + 16);
}

}  // namespace memwhy::goruntime
