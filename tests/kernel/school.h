// SPDX-License-Identifier: Apache-2.0
// A recording on the running kernel whose stacks are by unwind rules, learned as the program does it.
#pragma once

#include <memory>
#include <string>

#include "app/rule_tables.h"
#include "support.h"
#include "symbols/local_binaries.h"

namespace memwhy::kernel_test {

// The hooks, a recording, and who learns for it.
struct School {
  std::unique_ptr<probe::Port> port;
  std::unique_ptr<probe::Unwinding> unwinding;
  std::unique_ptr<app::RuleTables> tables;
  std::unique_ptr<symbols::LocalBinaries> binaries;
  std::unique_ptr<unwind::Teacher> teacher;

  // Takes snapshots until there are none left.
  void learn() {
    while (teacher->look() != 0) continue;
  }
};

// nullptr: it cannot be had here; the reason is in `why`.
std::unique_ptr<School> open_school(const probe::Options& options, std::string& why);

}  // namespace memwhy::kernel_test

#define OPEN_SCHOOL(name, ...)                                                         \
  std::string name##_why;                                                              \
  const auto name##_owner = memwhy::kernel_test::open_school(__VA_ARGS__, name##_why); \
  if (!name##_owner) CANNOT_RUN(name##_why);                                           \
  memwhy::kernel_test::School& name = *name##_owner
