// SPDX-License-Identifier: Apache-2.0
#include "agent/hook_time.h"

namespace memwhy::agent {

void HookTime::see(const events::Coverage& coverage, TimeNs now) {
  faults_ = coverage.faults_seen;
  for (const events::ProgramCost& program : coverage.programs) {
    Seen& seen = programs_[program.program];
    const bool always = program.watched_ns == 0;  // it keeps its time itself
    if (!always && program.watched_ns <= seen.watched_ns) continue;
    const double times = always ? 1
                                : static_cast<double>(now - seen.at) /
                                      static_cast<double>(program.watched_ns - seen.watched_ns);
    watched_ |= !always;
    ns_ += times * static_cast<double>(program.run_time_ns - seen.run_time_ns);
    if (program.program.starts_with("fault_")) runs_ += times * static_cast<double>(program.runs - seen.runs);
    seen = {program.runs, program.run_time_ns, program.watched_ns, now};
  }
}

}  // namespace memwhy::agent
