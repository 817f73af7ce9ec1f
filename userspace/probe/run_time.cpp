// SPDX-License-Identifier: Apache-2.0
#include "probe/run_time.h"

#include <utility>

namespace memwhy::probe {

RunTime::RunTime(Mode mode, uint64_t now_ns, std::function<std::vector<Program>()> read,
                 std::function<Fd()> enable)
    : mode_(mode), start_ns_(now_ns), read_(std::move(read)), enable_(std::move(enable)) {
  if (mode == Mode::kAlways) open(now_ns);
}

void RunTime::tick(uint64_t now_ns) {
  if (mode_ != Mode::kSampled && mode_ != Mode::kClosely) return;
  const uint64_t period = mode_ == Mode::kClosely ? kCloselyNs : kPeriodNs;
  const uint64_t age = now_ns - start_ns_;
  const bool watch = age >= kFirstNs && (age - kFirstNs) % period < kWindowNs;
  if (watch && !statistics_) open(now_ns);
  if (!watch && statistics_) close(now_ns);
}

void RunTime::open(uint64_t now_ns) {
  statistics_ = enable_();
  opened_ns_ = now_ns;
  at_open_ = read_();
}

void RunTime::close(uint64_t now_ns) {
  closed_ = costs(now_ns);
  statistics_ = Fd();
}

std::vector<events::ProgramCost> RunTime::costs(uint64_t now_ns) const {
  std::vector<events::ProgramCost> all = closed_;
  if (!statistics_) return all;
  const std::vector<Program> now = read_();
  all.resize(now.size());
  for (size_t i = 0; i < now.size(); ++i) {
    all[i].program = now[i].name;
    all[i].runs += now[i].runs - at_open_[i].runs;
    all[i].run_time_ns += now[i].run_time_ns - at_open_[i].run_time_ns;
    all[i].watched_ns += now_ns - opened_ns_;
  }
  return all;
}

}  // namespace memwhy::probe
