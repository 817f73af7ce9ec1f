// SPDX-License-Identifier: Apache-2.0
#include "probe/go_probes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "memwhy/abi/event.h"

namespace memwhy::probe {
namespace {

constexpr size_t kMostSentences = 32;
constexpr TimeNs kSecond = 1'000'000'000;

constexpr std::array<const char*, events::kGoFunctions> kPurposes = {
    "where large Go objects are allocated",           "who makes the Go heap grow",
    "where sampled Go objects are allocated",         "when the Go runtime gives memory back",
    "when a Go collection starts, and who starts it", "when the marking of a Go collection ends"};

static_assert(MW_GO_FUNCTIONS == events::kGoFunctions);
static_assert(MW_GO_SECOND == static_cast<int>(events::GoSite::Register::kBx) &&
              MW_GO_THIRD == static_cast<int>(events::GoSite::Register::kCx));

uint64_t cookie_of(const events::GoSite& site) {
  return MW_GO_COOKIE(site.function, static_cast<uint64_t>(site.argument), site.shift);
}

}  // namespace

void GoReport::say(std::string sentence) {
  if (sentences_.size() < kMostSentences &&
      std::find(sentences_.begin(), sentences_.end(), sentence) == sentences_.end()) {
    sentences_.push_back(std::move(sentence));
    news_ = true;
  }
}

void GoProbes::say(SpaceId space, const std::string& sentence) {
  for (GoReport* report : reports_(space)) report->say(sentence);
}

void GoProbes::use(SpaceId space, const events::GoProbePlan& plan) {
  for (GoReport* report : reports_(space))
    for (const events::GoSite& site : plan.sites) report->use(site.function);
}

Status GoProbes::link(Attached& to) const {
  std::vector<UprobeSite> sites;
  for (const events::GoSite& site : to.plan.sites) sites.push_back({site.offset, cookie_of(site)});
  Result<UprobeLinks> links = attach_uprobes(program_, way_, to.plan.tgid, to.plan.file, sites);
  if (!links) return std::move(links).error();
  to.links = *std::move(links);
  return {};
}

void GoProbes::attach(SpaceId space, events::GoProbePlan plan) {
  for (const std::string& sentence : plan.not_probed) say(space, sentence);
  if (const auto known = attached_.find(space); known != attached_.end()) {
    use(space, known->second.plan);  // a second recording of the process
    return;
  }
  std::erase_if(plan.sites,
                [this](const events::GoSite& site) { return given_up_[static_cast<size_t>(site.function)]; });
  if (plan.sites.empty()) return;
  if (way_ == UprobeWay::kNone) return say(space, why_none_);
  if (plan.waits && plan.waits())
    return say(space,
               fmt::format("The Go runtime of pid {} is not probed: its memory did not answer.", plan.tgid));
  if (const std::optional<std::string> locked = map_locked_(space, plan.sites.front().address))
    return say(space,
               fmt::format("The Go runtime of pid {} is not probed: {}, and attaching would wait for it.",
                           plan.tgid, *locked));
  Attached made{std::move(plan), {}};
  if (const Status linked = link(made); !linked)
    return say(space, fmt::format("The Go runtime of pid {} is not probed: {}.", made.plan.tgid,
                                  linked.error().message()));
  if (!all_trap(made.plan)) {  // of another mapping than the plan's: not understood, so not kept
    const Pid tgid = made.plan.tgid;
    static_cast<void>(unlink(space, made));
    return say(
        space,
        fmt::format("The Go runtime of pid {} is not probed: no breakpoint appeared in its code.", tgid));
  }
  use(space, made.plan);
  if (made.links.multi && made.plan.keep_open) made.plan.keep_open(made.links.multi.get());
  attached_.emplace(space, std::move(made));
}

// No close here may be the last one. The administrator's `rm` is.
void GoProbes::leave(SpaceId space, Attached& from, const std::string& locked) {
  const Pid tgid = from.plan.tgid;
  const std::string how = leave_attached(from.links, fmt::format("memwhy-{}-{}", ::getpid(), tgid));
  say(space, fmt::format("The probes of the Go runtime of pid {} stay, because {}: {}.", tgid, locked, how));
}

bool GoProbes::unlink(SpaceId space, Attached& from) {
  if (from.plan.waits && from.plan.waits()) {
    from.links.abandon();
    say(space,
        fmt::format("The probes of the Go runtime of pid {} stay until its memory answers.", from.plan.tgid));
    return false;
  }
  if (const std::optional<std::string> locked = map_locked_(space, from.plan.sites.front().address)) {
    leave(space, from, *locked);
    return false;
  }
  if (from.plan.keep_open) from.plan.keep_open(-1);
  from.links.close();
  each_left_behind(from.plan, [&](const events::GoSite& site) {
    say(space, fmt::format("A breakpoint is left in {} of pid {}: another tracer's, or the kernel's fault.",
                           go_function_name(site.function), from.plan.tgid));
  });
  return true;
}

void GoProbes::detach(SpaceId space) {
  const auto found = attached_.find(space);
  if (found == attached_.end()) return;
  static_cast<void>(unlink(space, found->second));
  attached_.erase(found);
}

bool GoProbes::govern(TimeNs now, const GoHits& sum) {
  if (looked_ == 0 || now < looked_ + kSecond) {
    if (looked_ == 0) {
      looked_ = now;
      before_ = sum;
    }
    return false;
  }
  const double seconds = static_cast<double>(now - looked_) / static_cast<double>(kSecond);
  bool changed = false;
  for (size_t i = 0; i < events::kGoFunctions; ++i) {
    const double rate = static_cast<double>(sum.hits[i] - before_.hits[i]) / seconds;
    if (given_up_[i] || rate <= static_cast<double>(most_hits_per_s_)) continue;
    given_up_[i] = changed = true;
    say(SpaceId::kNone,
        fmt::format("{} is called {:.0f} times a second, above the budget of {}: it is not probed any more.",
                    events::kGoFunctionNames[i], rate, most_hits_per_s_));
  }
  looked_ = now;
  before_ = sum;
  if (!changed) return false;
  // Closed first: two probes on one site would count twice. What is called in between is not seen.
  for (auto at = attached_.begin(); at != attached_.end();) {
    Attached& each = at->second;
    if (!unlink(at->first, each)) {
      at = attached_.erase(at);
      continue;
    }
    std::erase_if(each.plan.sites, [this](const events::GoSite& site) {
      return given_up_[static_cast<size_t>(site.function)];
    });
    const Status linked = each.plan.sites.empty() ? Status() : link(each);
    if (!linked)
      say(at->first,
          fmt::format("The probes of pid {} are lost: {}.", each.plan.tgid, linked.error().message()));
    at = each.plan.sites.empty() || !linked ? attached_.erase(at) : std::next(at);
  }
  return true;
}

void GoProbes::report(const GoReport& from, events::HookReport& report) const {
  for (size_t i = 0; i < events::kGoFunctions; ++i)
    if (from.uses(i))
      report.hooks.push_back({std::string("go_") + events::kGoFunctionNames[i],
                              given_up_[i] ? "none" : name_of(way_), kPurposes[i]});
  const std::vector<std::string>& sentences = from.sentences();
  report.not_seen.insert(report.not_seen.end(), sentences.begin(), sentences.end());
}

size_t GoProbes::links() const {
  size_t n = 0;
  for (const auto& [space, each] : attached_) n += each.links.count();
  return n;
}

}  // namespace memwhy::probe
