// SPDX-License-Identifier: Apache-2.0
#include "goruntime/color_table.h"

#include <algorithm>
#include <random>
#include <utility>

namespace memwhy::goruntime {
namespace {

constexpr size_t kFirstPlaces = 16;

}  // namespace

ColorTable::ColorTable() {
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  std::random_device random;
  secret_ = uint64_t{random()} << 32 | random();
#endif  // fuzzed, the same input takes the same way each time
}

// The finish of splitmix64.
uint64_t ColorTable::hash(uint64_t address) const {
  uint64_t z = address ^ secret_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Its own, or the empty one that it would have.
ColorTable::Place& ColorTable::place_of(Part& part, uint64_t address) const {
  const uint64_t n = part.places.size();
  size_t at = (hash(address) >> 32) * n >> 32;  // of n, as the hash is of 2^32
  while (part.places[at].address() != 0 && part.places[at].address() != address)
    if (++at == n) at = 0;
  return part.places[at];
}

void ColorTable::grow(Part& part) const {
  std::vector<Place> before(std::max(kFirstPlaces, part.places.size() + part.places.size() / 2));
  std::swap(before, part.places);
  for (const Place& place : before)
    if (place.address() != 0) place_of(part, place.address()) = place;
}

ColorTable::Meeting ColorTable::meet(uint64_t address, Color color) {
  Part& part = parts_[hash(address) % parts_.size()];
  if ((part.used + 1) * 4 > part.places.size() * 3) grow(part);
  Place& place = place_of(part, address);
  if (place.address() == 0) {
    place = {static_cast<uint32_t>(address), static_cast<uint32_t>(address >> 32), color};
    ++part.used;
    ++size_;
    return Meeting::kNew;
  }
  if (place.color == color || (place.color & kSharedBit) != 0) return Meeting::kKnown;
  place.color |= kSharedBit;
  return Meeting::kNowShared;
}

}  // namespace memwhy::goruntime
