// SPDX-License-Identifier: Apache-2.0
// How much of an address space other processes map too, by the kernel's count of the page tables that map each page
// (kpagecount), for a sample of its resident pages. Not PSS, for which smaps would have to stop the target; a sample costs
// about a millisecond. A page merged by KSM is neither shared by a fork nor a copy of its own (kpageflags).
//
//   [heap]      40,960 pages resident    512 sampled: 480 mapped once, 32 by 9    → 150 MiB its own, 10 MiB shared with 8 others
//   data        20,480 pages, none shared     the parent, which forked it, has the same mapping   → 80 MiB its own, all copied
//   memfd       98,304 pages             512 sampled: all mapped by 6             → 384 MiB shared with 5 others
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "events/event.h"

namespace memwhy::procfs {

// `root`: of /proc. nullopt: this kernel or these privileges do not reveal frames. `parents`: the mappings of the parent, asked
// for once a page is shared since a fork; none: unknown.
std::optional<events::SharedPages> sample_shared(
    int pagemap, int root, const std::vector<events::Vma>& vmas, const std::vector<events::ScanRun>& runs,
    const std::function<std::vector<events::Vma>()>& parents = [] { return std::vector<events::Vma>(); });

}  // namespace memwhy::procfs
