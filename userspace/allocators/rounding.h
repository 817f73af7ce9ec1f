// SPDX-License-Identifier: Apache-2.0
// Addresses rounded to what an allocator gives memory out in.
#pragma once

#include <cstdint>

namespace memwhy::allocators {

constexpr uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }
constexpr uint64_t round_down(uint64_t value, uint64_t to) { return value / to * to; }

}  // namespace memwhy::allocators
