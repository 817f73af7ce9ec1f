// SPDX-License-Identifier: Apache-2.0
// ColorTable: which objects a walk has met, and in which colors. There may be millions of them: 12 bytes each in tables of open
// addressing, at most three in four places used. Many small tables, because one that grows is there twice for a while.
//
//   meet 0xc000'0100 in 7: new    meet it in 7 again: known    meet it in 9: shared    meet it in any other: known
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace memwhy::goruntime {

class ColorTable {
 public:
  using Color = uint32_t;  // less than 2^31
  enum class Meeting : uint8_t { kNew, kKnown, kNowShared };

  ColorTable();

  Meeting meet(uint64_t address, Color color);  // not of 0
  size_t size() const { return size_; }

  // told(address, the color that it was met in first, whether it was met in another one too)
  template <typename Told>
  void for_each(const Told& told) const {
    for (const Part& part : parts_)
      for (const Place& place : part.places)
        if (place.address() != 0)
          told(place.address(), place.color & ~kSharedBit, (place.color & kSharedBit) != 0);
  }

 private:
  static constexpr Color kSharedBit = Color{1} << 31;
  static constexpr int kPartBits = 6;

  struct Place {
    uint64_t address() const { return uint64_t{high} << 32 | low; }
    uint32_t low = 0, high = 0;
    Color color = 0;
  };
  static_assert(sizeof(Place) == 12);
  struct Part {
    std::vector<Place> places;
    size_t used = 0;
  };

  uint64_t hash(uint64_t address) const;
  Place& place_of(Part& part, uint64_t address) const;
  void grow(Part& part) const;

  std::array<Part, size_t{1} << kPartBits> parts_;
  size_t size_ = 0;
  uint64_t secret_ = 1;  // the target chooses the addresses, and could make them collide
};

}  // namespace memwhy::goruntime
