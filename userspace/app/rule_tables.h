// SPDX-License-Identifier: Apache-2.0
// RuleTables: the unwind rules in the kernel (probe/unwinding.h) behind the interface of a Teacher (unwind/teacher.h). Packs its
// rules into the words that the kernel side walks by.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "probe/unwinding.h"
#include "unwind/teacher.h"

namespace memwhy::app {

class RuleTables : public unwind::RulesPort {
 public:
  // Must outlive it.
  explicit RuleTables(probe::Unwinding& unwinding) : unwinding_(unwinding) {}

  size_t take(const std::function<void(std::span<const unwind::Taken>)>& use, size_t most) override;
  void turn(uint32_t snapshots) override { unwinding_.rules().turn(snapshots); }
  std::optional<uint32_t> generation(SpaceId space) override { return unwinding_.rules().generation(space); }
  uint32_t mapped(SpaceId space) override { return unwinding_.rules().mapped(space); }
  void watch(SpaceId space, std::span<const AddressRange> code, AddressRange go, uint32_t mapped) override {
    unwinding_.rules().set_code(space, code, go, mapped);
  }
  void switches_stacks(SpaceId space) override { unwinding_.rules().switches_stacks(space); }
  bool publish(SpaceId space, uint32_t generation, std::span<const unwind::LearnedRule> rules) override;
  void looked_at(const unwind::Taken& taken) override {
    unwinding_.rules().looked_at(taken.space, taken.generation, taken.key);
  }
  void withdraw(SpaceId space, std::span<const AddressRange> code) override {
    unwinding_.rules().withdraw(space, code);
  }
  void complete(const unwind::Taken& taken, std::vector<uint64_t> frames, events::Unwind how) override {
    unwinding_.complete(taken.slot, std::move(frames), how);
  }

 private:
  probe::Unwinding& unwinding_;
};

}  // namespace memwhy::app
