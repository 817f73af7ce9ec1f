// SPDX-License-Identifier: Apache-2.0
// record::RuntimeSource of allocators other than glibc's, over the readers in allocators/. Only the choice of which process may
// have which allocator, by its mappings alone, is made here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "allocators/block_heap.h"
#include "app/runtimes.h"
#include "record/sources.h"

namespace memwhy::app {

// Files of Python's are mapped.
std::unique_ptr<record::RuntimeSource> open_pymalloc(const TargetProcess& target);
// There is a C heap, and variables as large as the root of its tree.
std::unique_ptr<record::RuntimeSource> open_jemalloc(const TargetProcess& target);
std::unique_ptr<record::RuntimeSource> open_tcmalloc(const TargetProcess& target);
// There is a C heap, and memory where a segment can be.
std::unique_ptr<record::RuntimeSource> open_mimalloc(const TargetProcess& target);
// musl is mapped, or no libc is: a static program.
std::unique_ptr<record::RuntimeSource> open_musl(const TargetProcess& target);
// Its shadow is mapped.
std::unique_ptr<record::RuntimeSource> open_sanitizer(const TargetProcess& target);
// libjvm.so is mapped.
std::unique_ptr<record::RuntimeSource> open_hotspot(const TargetProcess& target);
// There is code that was made at run time.
std::unique_ptr<record::RuntimeSource> open_v8(const TargetProcess& target);
// A file of PHP's is mapped.
std::unique_ptr<record::RuntimeSource> open_zend(const TargetProcess& target);
// Recognised by the names of mappings, and not read: reported in the coverage.
std::unique_ptr<record::RuntimeSource> open_recognised(const TargetProcess& target);

class BlockHeapReader final : public record::PagesOnly {
 public:
  explicit BlockHeapReader(allocators::BlockHeap heap) : heap_(std::move(heap)) {}

  std::string_view name() const override { return heap_.name(); }
  std::string_view title() const override { return heap_.title(); }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& tell) override {
    allocators::BlockReading reading = heap_.read(scan);
    if (reading.heap) tell(*std::move(reading.heap));
    return std::move(reading.pages);
  }
  std::vector<std::string> take_notices() override { return heap_.take_notices(); }
  void stop_when(const std::function<bool()>& stop) override { heap_.stop_when(stop); }

 private:
  allocators::BlockHeap heap_;
};

}  // namespace memwhy::app
