// SPDX-License-Identifier: Apache-2.0
#include "timeline/runtime_claims.h"

#include <algorithm>

#include "timeline/page_word.h"

namespace memwhy::timeline {
namespace {

bool by_page(const Claim& a, const Claim& b) { return a.page < b.page; }

// Adds the runs of one runtime to what others claim already.
class Adding {
 public:
  Adding(std::vector<Claim>& claims, RuntimeTold& told, uint8_t runtime)
      : claims_(claims), told_(told), runtime_(runtime), before_(claims.size()) {}

  void run(const events::RuntimeRun& run) {
    if (run.page >= kPageLimit || run.use >= told_.slots.size()) return;
    const PageNumber end = std::min<PageNumber>(run.page + run.count, kPageLimit);
    PageNumber page = std::max(run.page, done_);  // in a damaged recording they overlap
    bool whole = page == run.page;
    while (page < end) {
      while (at_ < before_ && claims_[at_].page + claims_[at_].count <= page) ++at_;
      const bool taken = at_ < before_ && claims_[at_].page <= page;
      const PageNumber edge = at_ == before_ ? end
                              : taken        ? claims_[at_].page + claims_[at_].count
                                             : claims_[at_].page;
      const PageNumber to = std::min(end, edge);
      if (taken) {
        told_.conflict_pages += to - page;
        whole = false;
      } else {
        claims_.push_back({page, static_cast<uint32_t>(to - page), {runtime_, run.use}});
      }
      page = to;
    }
    done_ = std::max(done_, end);
    if (!whole) return;  // how many of its bytes lie in the pages that it has is unknown
    SlotBytes& slots = told_.slots[run.use];
    slots.live += run.live_bytes;
    slots.dead += run.dead_bytes;
    slots.free += run.free_bytes;
  }

  void finish() {
    std::inplace_merge(claims_.begin(), claims_.begin() + static_cast<std::ptrdiff_t>(before_), claims_.end(),
                       by_page);
  }

 private:
  std::vector<Claim>& claims_;
  RuntimeTold& told_;
  uint8_t runtime_;
  size_t before_, at_ = 0;
  PageNumber done_ = 0;
};

}  // namespace

std::shared_ptr<const RuntimeClaims> claims_of(
    const std::vector<std::shared_ptr<const events::RuntimePages>>& told) {
  if (told.empty()) return nullptr;
  auto out = std::make_shared<RuntimeClaims>();
  std::vector<std::shared_ptr<const events::RuntimePages>> ordered = told;
  const auto others =
      std::stable_partition(ordered.begin(), ordered.end(), [](const auto& pages) { return pages->holds(); });
  const auto held = static_cast<size_t>(others - ordered.begin());
  if (held > events::kMostRuntimes) ordered.erase(ordered.begin() + events::kMostRuntimes, others);
  for (const std::shared_ptr<const events::RuntimePages>& pages : ordered) {
    RuntimeTold& runtime = out->told.emplace_back();
    runtime.pages = pages;
    runtime.slots.resize(std::min(pages->uses.size(), events::kMostUses));
    if (!pages->holds()) continue;
    std::vector<events::RuntimeRun> sorted;
    const std::vector<events::RuntimeRun>* runs = &pages->runs;
    const auto in_order = [](const auto& a, const auto& b) { return a.page < b.page; };
    if (!std::is_sorted(runs->begin(), runs->end(), in_order)) {
      sorted = *runs;
      std::stable_sort(sorted.begin(), sorted.end(), in_order);
      runs = &sorted;
    }
    Adding adding(out->claims, runtime, static_cast<uint8_t>(out->told.size()));
    for (const events::RuntimeRun& run : *runs) adding.run(run);
    adding.finish();
  }
  return out;
}

RuntimeUse claim_at(const RuntimeClaims* claims, PageNumber page, PageNumber& end) {
  if (claims == nullptr) return {};
  const std::vector<Claim>& all = claims->claims;
  const auto after = std::upper_bound(all.begin(), all.end(), page,
                                      [](PageNumber at, const Claim& claim) { return at < claim.page; });
  if (after != all.end()) end = std::min(end, after->page);
  if (after == all.begin()) return {};
  const Claim& claim = *std::prev(after);
  if (page >= claim.page + claim.count) return {};
  end = std::min(end, claim.page + claim.count);
  return claim.by;
}

}  // namespace memwhy::timeline
