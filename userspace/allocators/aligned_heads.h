// SPDX-License-Identifier: Apache-2.0
// Heads of heaps whose pages, segments or chunks begin at multiples of a size: V8, mimalloc, PHP. Each place where one could
// be is read, many at once; whoever asks decides whether it is a head. No list of the places is kept: a process may map
// terabytes.
//
//   apart 2 MiB   7f4a'2b812000-7f4a'2f012000 rw-p   places 7f4a'2ba00000, 7f4a'2bc00000, ... 7f4a'2f000000
//   visit()       those of up to 512 places that are resident, in order of address
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "allocators/heap_memory.h"
#include "allocators/rounding.h"

namespace memwhy::allocators {

template <typename Head>
struct HeadAt {
  uint64_t at = 0;
  Head head{};
};

// may_hold(vma). Of a mapping only the first `of_each` bytes. visit(std::span<const HeadAt<Head>>) -> bool, false: enough. A
// budget that is used up ends it too, which memory.step() knows.
template <typename Head, typename MayHold, typename Visit>
void each_head(HeapMemory& memory, uint64_t apart, MayHold may_hold, Visit visit,
               uint64_t of_each = ~uint64_t{0}) {
  constexpr size_t kTogether = std::min<size_t>(512, (size_t{256} << 10) / sizeof(Head));
  std::vector<HeadAt<Head>> heads(kTogether);
  size_t places = 0;
  const auto read = [&] {
    std::vector<remote::Piece> pieces;
    for (HeadAt<Head>& each : std::span(heads).first(places))
      pieces.push_back({each.at, std::as_writable_bytes(std::span(&each.head, 1)), false, false});
    places = 0;
    if (!memory.read_each(pieces)) return false;
    size_t there = 0;
    for (size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].there && there++ != i) heads[there - 1] = heads[i];
    return visit(std::span<const HeadAt<Head>>(heads).first(there));
  };
  for (const events::Vma& vma : memory.vmas()) {
    if (!may_hold(vma)) continue;
    const uint64_t end = vma.range.start + std::min(of_each, vma.range.bytes());
    for (uint64_t at = round_up(vma.range.start, apart); at < end; at += apart) {
      if (!memory.step()) return;
      heads[places++].at = at;
      if (places == kTogether && !read()) return;
    }
  }
  read();
}

}  // namespace memwhy::allocators
