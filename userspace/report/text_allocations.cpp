// SPDX-License-Identifier: Apache-2.0
// Callers of malloc: the sampled calls, by the program's own function.
//
//   Who calls malloc: 2,000 calls in 7.0 s
//       calls  share  mean bytes  function
//       1,312  65.6 %      1,000  parse (server.c:88)
#include <fmt/format.h>

#include "base/text.h"
#include "report/layout.h"
#include "report/text_parts.h"

namespace memwhy::report {

void print_allocations(Page& page, const explain::ProcessExplanation& process, bool full) {
  if (!process.allocations) return;
  const explain::AllocationSites& all = *process.allocations;
  const std::vector<explain::AllocationSite> places = explain::by_place(all);
  const size_t shown = std::min<size_t>(places.size(), full ? 20 : 5);
  page.line(fmt::format("Who calls malloc and its kind: {} calls looked at, in {:.1f} s", grouped(all.calls),
                        all.seconds),
            Ink::kBold);
  page.line("       calls    share  mean bytes  function", Ink::kDim);
  uint64_t rest = all.calls;
  for (size_t i = 0; i < shown; ++i) {
    const explain::AllocationSite& site = places[i];
    rest -= site.calls;
    page.paragraph(fmt::format("  {:>10}  {:>5.1f} %  {:>10}  ", grouped(site.calls),
                               100.0 * static_cast<double>(site.calls) / static_cast<double>(all.calls),
                               grouped(site.bytes / site.calls)),
                   site.where.empty() ? "not known" : escape(site.where));
  }
  if (rest > 0) page.line(fmt::format("  {:>10}  by {} others", grouped(rest), places.size() - shown));
  page.blank();
}

}  // namespace memwhy::report
