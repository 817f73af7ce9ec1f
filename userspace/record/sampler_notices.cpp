// SPDX-License-Identifier: Apache-2.0
// What the sampler tells in sentences: beside what the hooks do not see, what it cut itself.
#include <utility>

#include "fmt/format.h"
#include "record/sampler.h"
#include "record/target.h"

namespace memwhy::record {

// Told once, and again when it changes.
void Sampler::hooks() {
  for (std::string& sentence : symbols_.take_notices()) keep_notice(std::move(sentence));
  events::HookReport now = kernel_.hooks();
  now.not_seen.insert(now.not_seen.end(), notices_.begin(), notices_.end());
  if (more_notices_ > 0) {
    now.not_seen.push_back(fmt::format("{} more sentences like these are left out.", more_notices_));
  }
  if (unmet_ != 0) {
    now.not_seen.push_back(fmt::format(
        "{} children were over before they could be looked at: nothing is known of them.", unmet_));
  }
  if (hooks_ == now) return;
  hooks_ = now;
  emit(clock_.now(), std::move(now));
}

void Sampler::notice(std::string sentence) {
  keep_notice(std::move(sentence));
  hooks();
}

void Sampler::keep_notice(std::string sentence) {
  if (notices_.size() < kMostNotices)
    notices_.push_back(std::move(sentence));
  else
    ++more_notices_;
}

Error Sampler::refuse(const Target& target, const std::string& comm) {
  Error why(ErrorCode::kEnvironment,
            fmt::format("pid {} ({}) is a program for {}: this memwhy can record programs for {} only",
                        target.tgid, comm, target.machine, kMachine));
  end(target.space, events::EndWhy::kDetached);
  return why;
}

// A target that took what it could of the tables of the kernel side, while others are recorded.
void Sampler::on_share_loss(const events::Loss& loss) {
  if (loss.what != "stack_share" && loss.what != "page_share") return;
  Target* target = find(loss.space);
  if (target == nullptr || std::exchange(target->share_cut, true)) return;
  notice(fmt::format(
      "pid {} has more different stacks, or touches memory in more places, than its share of what is kept "
      "while others are recorded: some of its pages have no stack.",
      target->tgid));
}

}  // namespace memwhy::record
