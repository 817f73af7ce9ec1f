// SPDX-License-Identifier: Apache-2.0
// The words for a holder of a part of the Go heap, for each rule that names one: held-heap and pool-retention.
#pragma once

#include <string>

#include "explain/rules/rule.h"

namespace memwhy::explain {

// "the variable main.sessions", "5 goroutines in main.serve (main.go:7)", "the queue of finalizers".
std::string text_of_holder(const Case& c, const events::GoHolder& holder);
// Evidence: what hangs from it, by size.
void add_sizes(const events::GoHolder& holder, Finding& finding);
// Evidence: where its large objects were allocated, those that were sampled.
void add_sites(const Case& c, const events::GoHolder& holder, Finding& finding);

}  // namespace memwhy::explain
