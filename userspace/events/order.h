// SPDX-License-Identifier: Apache-2.0
// How late an event may come, and what follows from it: one window for the threads that bring events, the file and the
// timeline. What it is not: how often something is read; each reader decides that.
//
//   time of the event   in the ring ── kPollEvery ──► intake ── kHeldYoung, in a storm of forks ──► queue
//         81.204                          81.254                          81.354
//   leaves the queue at 81.204 + kOrderWindow = 81.454, after everything older
//   is in the file   at 81.204 + kFileWindow  = 81.954, or with the next tick, by 82.204: a recorder that is killed loses
//                    kMostLost, one second
#pragma once

#include "base/ids.h"

namespace memwhy::events {

constexpr TimeNs kPollEvery = 50'000'000;     // intake empties the ring
constexpr TimeNs kHeldYoung = 100'000'000;    // a child that was just forked: record/young.h
constexpr TimeNs kOrderWindow = 250'000'000;  // events are put in order of time within it
constexpr TimeNs kMostLost = 1'000'000'000;   // by a recorder that is killed
constexpr TimeNs kFileTick = 250'000'000;     // the file checks what it should write by now
constexpr TimeNs kFileWindow = kMostLost - kFileTick;
// Of events that no queue has put in order, in any recording: a list of mappings and an mmap that it does not have yet.
constexpr TimeNs kMostDisorder = kMostLost;

// What is held until the last moment still finds its place, even when intake misses one turn.
static_assert(kHeldYoung + 2 * kPollEvery < kOrderWindow);
static_assert(kOrderWindow < kFileWindow && kFileWindow < kMostDisorder);

}  // namespace memwhy::events
