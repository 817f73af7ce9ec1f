// SPDX-License-Identifier: Apache-2.0
// record::RuntimeSource of the stacks that glibc keeps of threads that have ended, over the reader in allocators/. Only the
// choice of processes is made here.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocators/ended_stacks.h"
#include "app/runtimes.h"
#include "record/sources.h"

namespace memwhy::app {

// nullptr: its mappings are those of a few threads, so that nothing of what ended is worth a look.
std::unique_ptr<record::RuntimeSource> open_ended_stacks(const TargetProcess& target);

class StacksReader final : public record::PagesOnly {
 public:
  explicit StacksReader(allocators::EndedStacks stacks) : stacks_(std::move(stacks)) {}

  std::string_view name() const override { return allocators::kThreadsRuntime; }
  std::string_view title() const override { return "threads"; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& /*tell*/) override {
    return stacks_.read(scan);
  }
  std::vector<std::string> take_notices() override { return stacks_.take_notices(); }
  void stop_when(const std::function<bool()>& stop) override { stacks_.stop_when(stop); }

 private:
  allocators::EndedStacks stacks_;
};

}  // namespace memwhy::app
