// SPDX-License-Identifier: Apache-2.0
// Lumps: CPU time of the sampler's thread for what is done once or now and then, and takes many times what the thread usually
// takes in a second: attaching a process, a scan, the names of new stacks. Who keeps to a budget must not take it for what
// goes on each second.
//
//   Roster::add()           Lumps::Scope    60 ms
//     Readings::scan()        Scope inside: counted once
//       Names::name()           Scope inside
#pragma once

#include <cstdint>

#include "record/clock.h"

namespace memwhy::record {

class Lumps {
 public:
  uint64_t cpu_ns() const { return sum_; }

  class Scope {
   public:
    Scope(Lumps& lumps, Clock& clock) : lumps_(lumps), clock_(clock) {
      if (lumps_.depth_++ == 0) lumps_.begun_ = clock_.own_cpu_ns();
    }
    ~Scope() {
      if (--lumps_.depth_ == 0) lumps_.sum_ += clock_.own_cpu_ns() - lumps_.begun_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Lumps& lumps_;
    Clock& clock_;
  };

 private:
  uint64_t sum_ = 0, begun_ = 0;
  int depth_ = 0;
};

}  // namespace memwhy::record
