// SPDX-License-Identifier: Apache-2.0
#include "probe/go_probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "memwhy/abi/event.h"

namespace memwhy::probe {
namespace {

constexpr uint8_t kBreakpoint = 0xcc;
constexpr size_t kMostSentences = 32;
constexpr TimeNs kSecond = 1'000'000'000;
// A program that maps and faults all the time still lets go between any two; who holds it this long holds it for good.
constexpr int kMostLooks = 200;
constexpr timespec kBetweenLooks = {0, 1'000'000};

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

// The head of union bpf_attr for BPF_LINK_CREATE of that kind.
struct MultiLink {
  uint32_t program, target, attach_type, flags;
  uint64_t path, offsets, ref_counters, cookies;
  uint32_t count, multi_flags, pid, pad;
};

// Before 6.10 the kernel's own filter let one thread of the process pass only. Without it the programs of all processes
// that run this file are stopped at the sites; ours is told by its mm all the same.
bool filters_by_process() {
  utsname name{};
  unsigned major = 0, minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 10);
}

}  // namespace

const char* name_of(UprobeWay way) {
  return way == UprobeWay::kMulti ? "uprobe_multi" : way == UprobeWay::kPerf ? "uprobe" : "none";
}

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
  const std::string path = fmt::format("/proc/self/fd/{}", to.plan.file.get());
  const std::vector<events::GoSite>& sites = to.plan.sites;
  if (way_ == UprobeWay::kMulti) {
    std::vector<uint64_t> offsets, cookies;
    for (const events::GoSite& site : sites) {
      offsets.push_back(site.offset);
      cookies.push_back(cookie_of(site));
    }
    MultiLink ask{};
    ask.program = static_cast<uint32_t>(bpf_program__fd(program_));
    ask.attach_type = kUprobeMulti;
    ask.path = reinterpret_cast<uint64_t>(path.c_str());
    ask.offsets = reinterpret_cast<uint64_t>(offsets.data());
    ask.cookies = reinterpret_cast<uint64_t>(cookies.data());
    ask.count = static_cast<uint32_t>(sites.size());
    ask.pid = filters_by_process() ? static_cast<uint32_t>(to.plan.tgid) : 0;
    to.multi = Fd(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &ask, sizeof ask)));
    if (!to.multi) return errno_error(ErrorCode::kEnvironment, "attaching probes (uprobe_multi)", errno);
    return {};
  }
  for (const events::GoSite& site : sites) {
    LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = cookie_of(site));
    Link one(bpf_program__attach_uprobe_opts(program_, to.plan.tgid, path.c_str(), site.offset, &options));
    if (!one) {
      const int why = errno;
      to.links.clear();
      return errno_error(ErrorCode::kEnvironment, "attaching a probe (uprobe)", why);
    }
    to.links.push_back(std::move(one));
  }
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
  if (!map_is_free(space))
    return say(space,
               fmt::format("The Go runtime of pid {} is not probed: its memory map is locked, and attaching "
                           "would wait for it.",
                           plan.tgid));
  Attached made{std::move(plan), {}, {}};
  if (const Status linked = link(made); !linked)
    return say(space, fmt::format("The Go runtime of pid {} is not probed: {}.", made.plan.tgid,
                                  linked.error().message()));
  const bool all = std::all_of(made.plan.sites.begin(), made.plan.sites.end(), [&](const auto& site) {
    return made.plan.byte_at(site.address) == kBreakpoint;
  });
  if (!all) {  // of another mapping than the plan says: not understood, so not kept
    const Pid tgid = made.plan.tgid;
    static_cast<void>(unlink(space, made));
    return say(
        space,
        fmt::format("The Go runtime of pid {} is not probed: no breakpoint appeared in its code.", tgid));
  }
  use(space, made.plan);
  if (made.multi && made.plan.keep_open) made.plan.keep_open(made.multi.get());
  attached_.emplace(space, std::move(made));
}

bool GoProbes::map_is_free(SpaceId space) const {
  for (int look = 0; look < kMostLooks; ++look) {
    if (!map_held_(space)) return true;
    ::nanosleep(&kBetweenLooks, nullptr);
  }
  return false;
}

// No close of ours is to be the last one. The administrator's `rm` is.
void GoProbes::leave(SpaceId space, Attached& from) {
  const Pid tgid = from.plan.tgid;
  const std::string path = fmt::format("/sys/fs/bpf/memwhy-{}-{}", ::getpid(), tgid);
  bool kept = true;
  if (from.multi) kept = bpf_obj_pin(from.multi.get(), path.c_str()) == 0;
  for (size_t i = 0; i < from.links.size(); ++i) {
    kept = bpf_link__pin(from.links[i].get(), fmt::format("{}-{}", path, i).c_str()) == 0 && kept;
    static_cast<void>(from.links[i].release());  // closed with memwhy
  }
  if (!kept) static_cast<void>(from.multi.release());
  const std::string how =
      kept ? fmt::format("they go with `rm {}*`", path) : "they go when memwhy has ended, which waits for it";
  say(space, fmt::format("The probes of the Go runtime of pid {} stay, because its memory map is locked: {}.",
                         tgid, how));
}

bool GoProbes::unlink(SpaceId space, Attached& from) {
  if (from.plan.waits && from.plan.waits()) {
    for (Link& link : from.links) static_cast<void>(link.release());  // closed with memwhy
    say(space,
        fmt::format("The probes of the Go runtime of pid {} stay until its memory answers.", from.plan.tgid));
    return false;
  }
  if (!map_is_free(space)) {
    leave(space, from);
    return false;
  }
  if (from.plan.keep_open) from.plan.keep_open(-1);
  from.links.clear();
  from.multi.reset();
  for (const events::GoSite& site : from.plan.sites)
    if (const std::optional<uint8_t> byte = from.plan.byte_at(site.address); byte && *byte != site.byte)
      say(space, fmt::format("A breakpoint is left in {} of pid {}: another tracer's, or the kernel's fault.",
                             go_function_name(site.function), from.plan.tgid));
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
  for (const auto& [space, each] : attached_) n += each.multi ? 1 : each.links.size();
  return n;
}

}  // namespace memwhy::probe
