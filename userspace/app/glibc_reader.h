// SPDX-License-Identifier: Apache-2.0
// record::RuntimeSource of glibc's malloc, over the reader in allocators/. Only the choice of processes is made here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "allocators/glibc_process.h"
#include "app/runtimes.h"
#include "record/sources.h"

namespace memwhy::app {

// nullptr: no libc is mapped, and it is no static program with a heap; by its mappings alone, so that this costs nothing where
// there is no C heap.
std::unique_ptr<record::RuntimeSource> open_glibc(const TargetProcess& target);

class GlibcReader final : public record::PagesOnly {
 public:
  // Where malloc can be probed, glibc's or its replacement.
  using Plan = std::function<std::optional<events::AllocationProbePlan>()>;
  GlibcReader(allocators::GlibcProcess process, Plan plan)
      : process_(std::move(process)), plan_(std::move(plan)) {}

  std::string_view name() const override { return allocators::kGlibcRuntime; }
  std::string_view title() const override { return "C"; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& tell) override;
  void details(Details which, const Tell& tell) override;
  std::optional<events::RuntimeProbes> probe_plan(record::ProbeWishes wishes) override;
  std::vector<std::string> take_notices() override { return process_.take_notices(); }
  void stop_when(const std::function<bool()>& stop) override { process_.stop_when(stop); }

 private:
  allocators::GlibcProcess process_;
  Plan plan_;  // until it is taken
};

}  // namespace memwhy::app
