// SPDX-License-Identifier: Apache-2.0
// A word of memory that the programs in the kernel write while it is read here. Not a lock: one word at a time.
#pragma once

#include <atomic>

namespace memwhy::probe {

// What the kernel side wrote before this word is seen after it.
template <typename T>
T acquire(T& word) {
  return std::atomic_ref<T>(word).load(std::memory_order_acquire);
}

// Earlier writes are visible to a reader of it.
template <typename T>
void release(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

}  // namespace memwhy::probe
