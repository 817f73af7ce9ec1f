// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what memwhy takes back from a child that a hostile file may have taken over, and what the children take from
// each other. An input is a letter that says which message it is, and its bytes. The target to copy for another codec.
#include <algorithm>
#include <array>
#include <cstring>
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

// A list has one element more: the number of them, and the bytes of an empty one or of its neighbour.
//
//   03 | 01 61 | 01 62 | 01 63      ─►      04 | 00 | 01 61 | 01 62 | 01 63
size_t lengthen(uint8_t* data, size_t size, size_t most, Random& random) {
  constexpr size_t kMostElement = 8;
  const size_t at = 1 + random.below(size - 1), left = size - at - 1;
  const size_t bytes = random.one_in(2) ? 1 : 1 + random.below(kMostElement);
  if (size + bytes > most || data[at] == 0x7f) return LLVMFuzzerMutate(data, size, most);
  uint8_t* const behind = data + at + 1;
  std::copy_backward(behind, behind + left, behind + left + bytes);
  if (random.one_in(2) || left < bytes) std::fill_n(behind, bytes, uint8_t{0});
  ++data[at];
  return size + bytes;
}

// Of a layout, the one list that goes into a table of fixed size: any number of names, as many as the codec lets through.
size_t rename_all(uint8_t* data, size_t size, size_t most, Random& random) {
  constexpr size_t kMostNames = 96;
  const files::GoLayout known = files::decode_layout(std::as_bytes(std::span(data + 1, size - 1)), 28);
  if (!known) return lengthen(data, size, most, random);
  goruntime::DwarfLayout layout;
  layout.layout = known->layout;
  layout.wait_reasons = known->wait_reasons;
  layout.wait_reasons.resize(random.below(kMostNames));
  const files::Bytes made = files::encode_layout(layout);
  if (made.size() >= most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data + 1, made.data(), made.size());
  return 1 + made.size();
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  if (size < 2 || !random.one_in(4)) return LLVMFuzzerMutate(data, size, most);
  return data[0] == 'h' ? memwhy::fuzz::rename_all(data, size, most, random)
                        : memwhy::fuzz::lengthen(data, size, most, random);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using memwhy::fuzz::kMessages;
  if (size == 0 || data[0] < 'a' || data[0] - 'a' >= static_cast<int>(kMessages.size())) return -1;
  kMessages[data[0] - 'a'](std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
