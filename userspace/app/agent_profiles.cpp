// SPDX-License-Identifier: Apache-2.0
#include "app/agent_profiles.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/content.h"

namespace memwhy::app {

std::optional<std::string> AgentProfiles::kept(const std::string& unit, TimeNs now) const {
  const auto found = kept_.find(unit);
  if (found == kept_.end() || found->second.until <= now) return std::nullopt;
  return content_of(found->second.file, agent::kLongestAnswer);
}

std::vector<agent::Question> AgentProfiles::take_awaiting(const std::string& unit) {
  const auto found = awaiting_.extract(unit);
  return found ? std::move(found.mapped()) : std::vector<agent::Question>();
}

Result<std::string> AgentProfiles::made(const ClosedJob& closed, double share, TimeNs now) {
  if (!closed.answer) return closed.answer.error();
  const std::string& path = closed.job.output;
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return errno_error(ErrorCode::kOutput, "reading the profile", errno);
  ::unlink(path.c_str());
  std::string text = content_of(file, agent::kLongestAnswer);
  Kept& kept = kept_[closed.job.unit];
  kept.file = std::move(file);
  const double pays = static_cast<double>(closed.cpu_ns * kept_.size()) / std::max(share, 1e-6);
  kept.until = now + static_cast<TimeNs>(pays);
  return text;
}

void AgentProfiles::tidy(TimeNs now) {
  std::erase_if(kept_, [now](const auto& each) { return each.second.until <= now; });
}

}  // namespace memwhy::app
