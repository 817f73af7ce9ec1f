// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "support.h"

namespace memwhy::kernel_test {

void Observer::take(events::Event event) {
  if (const auto* stack = std::get_if<events::Stack>(&event.payload)) {
    // Once for each space that names it, with the same frames; again when more is known of it.
    EXPECT_TRUE(given_.emplace(stack->id, stack->space, stack->unwind).second)
        << "stack given twice for one space";
    const auto [known, is_new] = stacks_.emplace(stack->id, *stack);
    EXPECT_TRUE(is_new || known->second.unwind != stack->unwind || known->second.frames == stack->frames)
        << "one id for two stacks";
    known->second = *stack;
  } else if (const auto* runs = std::get_if<events::PageTableRuns>(&event.payload)) {
    auto& table = tables_[runs->space];
    if (runs->restated) table.clear();
    PageNumber last = 0;
    for (const events::TableRun& run : runs->runs) {
      EXPECT_GE(run.page, last) << "runs out of order, or overlapping";
      last = run.page + run.count;
      for (uint32_t i = 0; i < run.count; ++i) table[run.page + i] = {run.stack, run.tick, run.flags};
    }
  }
  events_.push_back(std::move(event));
}

std::unique_ptr<probe::Port> open_probe(const probe::Options& options, std::string& why) {
  if (::geteuid() != 0) {
    why = "BPF needs root";
    return nullptr;
  }
  auto probe = probe::open_port(options);
  if (probe) return std::move(probe).value();
  why = probe.error().message();
  return nullptr;
}

}  // namespace memwhy::kernel_test

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--target") == 0)
    return memwhy::kernel_test::run_exec_target(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
