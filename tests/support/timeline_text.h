// SPDX-License-Identifier: Apache-2.0
// What the model makes of an event script, as text: the other half of "text in, text out".
//
//   scan 1 of space 1: 17 pages, stale 1
//     vma0 fault s1 16
//     vma1 around s1 1 file huge=0 …            (only what is not 0: huge= lazy= lost=)
//     + vma0 fault s1 16                        arrived since the scan before
//     - vma0 fault s2 3                         left
//
// How: fault kfault huge around moved inherited mmap before unknown. Mappings: vmaN, or vma- for none.
#pragma once

#include <string>
#include <string_view>

#include "timeline/timeline.h"

namespace memwhy::testing {

enum class Detail { kGroups, kFlow };  // kFlow: with arrived and left

std::string describe_groups(const std::vector<timeline::PageGroup>& groups, std::string_view mark);
std::string describe_scan(const timeline::ScanResult& result, Detail detail);

// Plays the script and describes each scan. `trim_margin`: text that a test wrote, without the indentation of
// its first line.
std::string reconcile(std::string_view script, Detail detail = Detail::kGroups);
std::string trim_margin(std::string_view text);

}  // namespace memwhy::testing
