// SPDX-License-Identifier: Apache-2.0
// A variant in a process of its own, so that another build of memwhy is measured in the same run, on the same target:
//
//   bench_faults --other before='/elsewhere/bench_faults --serve'
//
//   stdin  "on 4711"  "learn"  "off"        stdout  "ok", "more" (there was something to learn), or what went wrong
#pragma once

#include "child.h"
#include "variant.h"

namespace memwhy::bench {

// text: NAME=COMMAND, words of the command separated by spaces. It runs on these CPUs.
Result<std::unique_ptr<Variant>> served_by(const std::string& text, const std::vector<int>& cpus);

// The other side: obeys until stdin ends.
Status serve(Variant& variant);

}  // namespace memwhy::bench
