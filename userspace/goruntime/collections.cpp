// SPDX-License-Identifier: Apache-2.0
#include "goruntime/collections.h"

#include <algorithm>
#include <array>
#include <utility>

#include "remote/memory.h"

namespace memwhy::goruntime {
namespace {

constexpr uint32_t kRing = 256;
using Ring = std::array<uint64_t, kRing>;

}  // namespace

std::vector<events::GoPause> Collections::take(remote::RemoteMemory& memory, const Globals& globals) {
  const auto& mstats = globals.layout->mstats;
  if (mstats.pause_ns.bytes != sizeof(Ring) || mstats.pause_end.bytes != sizeof(Ring)) return {};
  const auto number = [&] {
    return remote::read_value<uint32_t>(memory, globals.memstats + mstats.numgc.offset);
  };
  const Result<uint32_t> before = number();
  if (!before) return {};
  const bool first = !std::exchange(started_, true);
  const uint32_t fresh = first ? 0 : *before - last_;
  if (fresh == 0 || fresh > UINT32_MAX / 2) {  // none, or another program's memory
    last_ = *before;
    return {};
  }
  const Result<Ring> pauses = remote::read_value<Ring>(memory, globals.memstats + mstats.pause_ns.offset);
  const Result<Ring> ends = remote::read_value<Ring>(memory, globals.memstats + mstats.pause_end.offset);
  const Result<uint32_t> after = number();
  if (!pauses || !ends || !after) return {};
  // While we read, each new collection overwrites the oldest, and one more may be half written.
  const uint64_t overwritten = uint64_t{*after} - *before + 1;
  const uint64_t whole = overwritten < kRing ? kRing - overwritten : 0;
  std::vector<events::GoPause> out;
  for (auto left = static_cast<uint32_t>(std::min<uint64_t>(fresh, whole)); left > 0; --left) {
    const uint32_t collection = *before - left + 1;
    const uint32_t at = (collection - 1) % kRing;
    out.push_back({collection, (*ends)[at], (*pauses)[at]});
  }
  last_ = *before;
  return out;
}

}  // namespace memwhy::goruntime
