// SPDX-License-Identifier: Apache-2.0
// What a fuzz target says must hold, and where a mutator takes its choices from. Not gtest: a target that is not content
// aborts, and libFuzzer keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace memwhy::fuzz {

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "CHECK FAILED: %s\n", what);
  std::abort();
}

// Reproducible from the number that libFuzzer gives to a mutator (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t below(size_t end) { return end == 0 ? 0 : static_cast<size_t>(next() % end); }
  bool one_in(size_t n) { return below(n) == 0; }

  // A number at which code that does not look breaks.
  uint64_t nasty() {
    switch (below(7)) {
      case 0:
        return below(20);
      case 1:
        return uint64_t{1} << below(64);
      case 2:
        return (uint64_t{1} << below(64)) - 1;
      case 3:
        return ~uint64_t{0} - below(4096);
      case 4:
        return ~uint64_t{0} / (1 + below(255)) + below(3);  // times a small number it wraps to a small one
      case 5:                                               // at an end of what a narrower number can be
        return (uint64_t{1} << (one_in(3) ? 16 : 31 + below(2))) - 1 - below(2) * (next() >> 34);
      default:
        return next() >> below(64);
    }
  }
  // A number near another one.
  uint64_t near(uint64_t value) {
    switch (below(5)) {
      case 0:
        return value ^ (uint64_t{1} << below(64));
      case 1:
        return value + 1 + (one_in(2) ? 0 : below(64));  // an index that is one too large
      case 2:
        return value - 1 - (one_in(2) ? 0 : below(64));
      case 3:
        return value + 8 * below(4096);
      default:
        return value << below(16);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace memwhy::fuzz

// libFuzzer's own mutations, for a part of an input. Returns the new size, at most `most`.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);
