// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what memwhy takes back from a child that a hostile file may have taken over, and what the children take from
// each other. An input is a letter that says which message it is, and its bytes. The target to copy for another codec.
#include <span>

#include "files/messages.h"
#include "fuzz/support/check.h"

namespace memwhy::fuzz {
namespace {

using Message = std::span<const std::byte>;

// What was understood can be said again, and is understood as the same.
template <typename T>
void message(Message bytes) {
  const std::optional<T> value = files::decode<T>(bytes);
  if (!value) return;
  const files::Bytes again = files::encode(*value);
  const std::optional<T> copy = files::decode<T>(again);
  check(copy.has_value() && files::encode(*copy) == again, "a message that is understood can be said again");
}

void answer(Message bytes) { (void)files::decode_answer(bytes).ok(); }

void layout(Message bytes) {
  for (const int minor : {19, 28})
    if (const files::GoLayout found = files::decode_layout(bytes, minor)) (void)files::encode_layout(*found);
}

// A new message comes at the end: the inputs that are kept begin with these letters.
constexpr std::array kMessages = {message<files::Request>,
                                  message<files::Handover>,
                                  message<symbols::OpenedBinary>,
                                  message<std::vector<symbols::SourceFrames>>,
                                  message<symbols::ProgramFacts>,
                                  message<symbols::ProbedFile>,
                                  answer,
                                  layout,
                                  message<std::vector<symbols::FunctionRules>>};

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using memwhy::fuzz::kMessages;
  if (size == 0 || data[0] < 'a' || data[0] - 'a' >= static_cast<int>(kMessages.size())) return -1;
  kMessages[data[0] - 'a'](std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
