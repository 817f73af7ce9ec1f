// SPDX-License-Identifier: Apache-2.0
// What a file, or a long recording, may make grow is bounded where it is read and where it is kept.
#include <gtest/gtest.h>

#include <string>

#include "trace/messages.h"
#include "trace/restate.h"

namespace memwhy::trace::test {
namespace {

TEST(Decode, AStackDeeperThanTheKernelSideKeepsIsDamage) {
  for (const size_t frames : {size_t{128}, size_t{129}, size_t{1} << 20}) {
    events::Stack stack;
    stack.id = StackId{1};
    stack.space = SpaceId{1};
    stack.frames.assign(frames, 0x401000);
    std::string message;
    encode_message(stack, message);
    events::Payload payload;
    EXPECT_EQ(decode_message(EventKind::kStack, message, payload), frames <= 128) << frames;
  }
}

TEST(Restatement, OfMoreBinariesThanThereIsRoomForDropsThem) {
  Restatement restated(true);
  const std::string message(64u << 10, 'x');
  uint64_t most = 0;
  for (uint32_t id = 1; id <= 4000; ++id) {  // 250 MiB
    events::BinaryInfo binary;
    binary.id = BinaryId{id};
    restated.remember({1, binary}, EventKind::kBinaryInfo, message);
    most = std::max(most, restated.definition_bytes());
  }
  EXPECT_LE(most, kMaxDefinitionBytes + message.size() + 4096);
}

}  // namespace
}  // namespace memwhy::trace::test
