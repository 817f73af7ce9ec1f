// SPDX-License-Identifier: Apache-2.0
// The events of the Go runtime, for samples.h: with a value in every field, and with none.
#pragma once

#include <cstdint>
#include <vector>

#include "events/event.h"

namespace memwhy::trace::test {

using namespace memwhy::events;  // NOLINT: tests are about events

constexpr uint64_t kBig = 0xfedc'ba98'7654'3210;  // ten bytes as a varint

inline SpaceId space(uint32_t number) { return static_cast<SpaceId>(number); }

inline GoCounters sample_go_counters() {
  return {70 << 20, 1 << 20, 5, kBig, 4096, 6, 7, 8, 9, 10, 11, 12, INT64_MIN, -1, ~0u, kBig};
}

inline std::vector<Payload> go_payloads() {
  return {GoStatistics{space(1),
                       sample_go_counters(),
                       {{38, 1'732'281'600'000'000'000, 41'200}, {39, 5, 6}},
                       GoAllocations{{{8, kBig}, {16, 1}, {32'768, 2}}, kBig, 3}},
          GoStatistics{space(1), {}, {}, GoAllocations{}},  // read, and nothing was allocated
          GoStatistics{},
          GoReading{space(1), 3, GoLayout::kUnverified, true, 5, 6, sample_go_counters()},
          GoReading{},
          GoProfile{space(1),
                    GoProfile::Source::kBuckets,
                    524'288,
                    true,
                    {{65'536, 2, 3, {0x45d2a1, 5, ~uint64_t{0}}}, {kBig, 0, 0, {}}}},
          GoProfile{space(2), GoProfile::Source::kOffInBinary, 0, false, {}},
          GoGoroutines{space(1),
                       1000,
                       false,
                       {{5,
                         "chan send",
                         0x45d2a1,
                         {0x45d2a2, kBig},
                         40'960,
                         81'200'000'000,
                         kBig,
                         10,
                         {{0xc0'0000'0000, 64 << 20, {0x45d2a3, 1}}, {0xc0'0800'0000, 1, {}}},
                         3},
                        {}},
                       GoFinalizers{980, kBig, 7},
                       GoHeld{true,
                              kBig,
                              9,
                              {{GoHolder::Kind::kGoroutines,
                                "main.sessions",
                                "main.login",
                                0x5b'0000,
                                4,
                                0x45d2a1,
                                {0x45d2a2, 1},
                                kBig,
                                5,
                                6,
                                7,
                                {{65'536, kBig}, {16, 1}},
                                {{0xc0'0000'0000, 64 << 20, {0x45d2a3, 1}}},
                                8,
                                9,
                                10,
                                11,
                                12,
                                13},
                               {}}}},
          GoGoroutines{space(1), 0, true, {}, GoFinalizers{}, GoHeld{}},
          GoGoroutines{},
          GoCall{space(1), 4711, GoFunction::kMarkEnd, kBig, static_cast<StackId>(9), kBig},
          GoCall{}};
}

// How many fields each struct has: see samples.h.
[[maybe_unused]] inline void every_go_field_is_known() {
  [[maybe_unused]] const auto& [gc1, gc2, gc3, gc4, gc5, gc6, gc7, gc8, gc9, gc10, gc11, gc12, gc13, gc14,
                                gc15, gc16] = GoCounters{};
  [[maybe_unused]] const auto& [gf1, gf2, gf3] = GoFinalizers{};
  [[maybe_unused]] const auto& [gs1, gs2, gs3, gs4] = GoStatistics{};
  [[maybe_unused]] const auto& [gz1, gz2] = GoSizeClass{};
  [[maybe_unused]] const auto& [gl1, gl2, gl3] = GoAllocations{};
  [[maybe_unused]] const auto& [gu1, gu2, gu3] = GoPause{};
  [[maybe_unused]] const auto& [gh1, gh2, gh3, gh4, gh5, gh6, gh7] = GoReading{};
  [[maybe_unused]] const auto& [gb1, gb2, gb3, gb4] = GoBucket{};
  [[maybe_unused]] const auto& [gp1, gp2, gp3, gp4, gp5] = GoProfile{};
  [[maybe_unused]] const auto& [gk1, gk2, gk3] = GoKeptObject{};
  [[maybe_unused]] const auto& [gg1, gg2, gg3, gg4, gg5, gg6, gg7, gg8, gg9, gg10] = GoGroup{};
  [[maybe_unused]] const auto& [go1, go2, go3, go4, go5, go6] = GoGoroutines{};
  [[maybe_unused]] const auto& [gx1, gx2, gx3, gx4] = GoHeld{};
  [[maybe_unused]] const auto& [gy1, gy2, gy3, gy4, gy5, gy6, gy7, gy8, gy9, gy10, gy11, gy12, gy13, gy14,
                                gy15, gy16, gy17, gy18, gy19] = GoHolder{};
  [[maybe_unused]] const auto& [ga1, ga2, ga3, ga4, ga5, ga6] = GoCall{};
}

}  // namespace memwhy::trace::test
