// SPDX-License-Identifier: Apache-2.0
// Mapping: the memory of a BPF map as this process sees it.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace memwhy::probe {

// Memory of a map, shared with the kernel.
class Mapping {
 public:
  Mapping() = default;
  static Result<Mapping> of_map(int map, size_t bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  template <typename T>
  T* as() const {
    return static_cast<T*>(address_);
  }

 private:
  void* address_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace memwhy::probe
