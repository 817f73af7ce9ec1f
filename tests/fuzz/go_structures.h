// SPDX-License-Identifier: Apache-2.0
// Where the structures of the Go runtime are in a snapshot, and which of their fields are read: what a mutator changes, so that
// a change of one field of one span is as likely as one of a word among 100,000 that stand in goroutines' stacks.
//
//   mspan   412 of them, 12 fields     g   37, 17 fields     mheap   1, 10 fields     allgs   2 slices of 3 words
//
// What it is not: a reader to be tested. It reads a snapshot that was not changed.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/support/check.h"
#include "go_snapshot.h"

namespace memwhy::fuzz {

struct GoStructure {
  std::string_view name;
  std::vector<uint64_t> addresses;  // of each; never empty
  std::vector<goruntime::Field> fields;
  std::vector<std::pair<goruntime::Field, goruntime::Field>> products;  // that readers multiply
};

std::vector<GoStructure> structures_of(const GoSnapshot& snapshot);

// One field of one structure is something else: what code breaks at, a number near, what the same field of another one has, the
// address of some structure, or what makes the product with another of its fields wrap.
Patch patch_of_field(const GoSnapshot& snapshot, const std::vector<GoStructure>& structures, Random& random);

}  // namespace memwhy::fuzz
