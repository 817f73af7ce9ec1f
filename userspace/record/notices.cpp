// SPDX-License-Identifier: Apache-2.0
#include "record/notices.h"

#include <utility>

#include "fmt/format.h"

namespace memwhy::record {

void Notices::hooks() {
  for (std::string& sentence : world_.symbols.take_notices()) keep(std::move(sentence));
  events::HookReport now = world_.kernel.hooks();
  now.notices.insert(now.notices.end(), sentences_.begin(), sentences_.end());
  if (more_ > 0) now.notices.push_back(fmt::format("{} more sentences like these are left out.", more_));
  if (unmet_ != 0) {
    now.notices.push_back(fmt::format(
        "{} children were over before they could be looked at: nothing is known of them.", unmet_));
  }
  if (hooks_ == now) return;
  hooks_ = now;
  world_.tell(std::move(now));
}

void Notices::add(std::string sentence) {
  keep(std::move(sentence));
  hooks();
}

void Notices::keep(std::string sentence) {
  if (sentences_.size() < kMostNotices)
    sentences_.push_back(std::move(sentence));
  else
    ++more_;
}

}  // namespace memwhy::record
