// SPDX-License-Identifier: Apache-2.0
// record::RuntimeSource of glibc's malloc over allocators/, which reads; here is only which process has it.
#pragma once

#include <memory>
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
  explicit GlibcReader(allocators::GlibcProcess process) : process_(std::move(process)) {}

  std::string_view name() const override { return allocators::kGlibcRuntime; }
  std::string_view title() const override { return "C"; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& tell) override;
  void details(Details which, const Tell& tell) override;
  std::vector<std::string> take_notices() override { return process_.take_notices(); }
  void stop_when(const std::function<bool()>& stop) override { process_.stop_when(stop); }

 private:
  allocators::GlibcProcess process_;
};

}  // namespace memwhy::app
