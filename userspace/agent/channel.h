// SPDX-License-Identifier: Apache-2.0
// The channel between the agent, which holds capabilities, and its front, which listens: questions of a fixed size one way, and
// texts the other, each as a file in memory whose descriptor is sent along.
//
//   front  -> agent   Question { id 7, what kTrigger, number 4711 }          24 bytes; nothing of a client's text goes this way
//   agent  -> front   Answer   { id 7, status 0, bytes 61 } + descriptor     "closing the ring of api …\n"
//
// Not a protocol for clients: front.h's are HTTP and lines of text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::agent {

enum class Ask : uint32_t {
  kNothing,
  kMetrics,
  kHealth,
  kStatus,
  kTop,
  kRecordings,
  kTrigger,
  kStop,
  kProfile
};

struct Question {
  uint64_t id = 0;
  Ask what = Ask::kNothing;
  int32_t number = 0;  // kTrigger: the pid; kMetrics: 1 for OpenMetrics
  uint64_t unit = 0;   // kProfile: unit_key() of its name
};
static_assert(sizeof(Question) == 24);

// Stands for the name of a unit. Both ends are one program: it need mean nothing to others.
inline uint64_t unit_key(std::string_view unit) { return std::hash<std::string_view>{}(unit); }

struct Answer {
  uint64_t id = 0;
  uint32_t status = 0;  // of the command, as base/exit_status.h
  uint32_t bytes = 0;
};
static_assert(sizeof(Answer) == 16);

struct ChannelPair {
  Fd agent, front;
};
Result<ChannelPair> make_channel();

constexpr size_t kLongestAnswer = size_t{16} << 20;

// false: the other side is gone, or takes nothing.
bool send_question(const Fd& channel, const Question& question);
bool send_answer(const Fd& channel, Answer answer, std::string_view text);
// nullopt: nothing is there; `closed` when nothing will come.
std::optional<Question> take_question(const Fd& channel, bool& closed);
// Waits. nullopt: the channel is closed.
std::optional<std::pair<Answer, std::string>> take_answer(const Fd& channel);

}  // namespace memwhy::agent
