// SPDX-License-Identifier: Apache-2.0
// The stack check's conditional jump, on code as each Go release writes it; everything else is refused.
#include "symbols/stack_check.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace memwhy::symbols {
namespace {

std::vector<uint8_t> hex(const std::string& text) {
  std::vector<uint8_t> out;
  for (size_t i = 0; i + 1 < text.size(); i += text[i + 2] == ' ' ? 3 : 2)
    out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

constexpr uint64_t kFunction = 8192;

struct Known {
  const char* of;
  const char* code;
  uint32_t jump, bytes;
};

TEST(StackCheck, AsEachReleaseWritesIt) {
  const Known all[] = {
      {"allocLarge 1.19", "49 3b 66 10 0f 86 0d 02 00 00 48 83 ec 48", 4, 6},
      {"grow 1.27", "4c 8d 64 24 f8 4d 3b 66 10 0f 86 47 03 00 00 55", 9, 6},
      {"mProf_Malloc 1.19", "4c 8d a4 24 10 ff ff ff 4d 3b 66 10 0f 86 aa 01 00 00 48", 12, 6},
      {"gcSweep 1.22, on the system stack", "49 3b 66 18 0f 86 0e 02 00 00 55", 4, 6},
      {"a frame of 1 MiB, 1.19", "49 89 e4 49 81 ec 88 ff 0f 00 72 5e 4d 3b 66 10 76 58 48", 16, 2},
      {"a small function", "49 3b 66 10 76 45 55 48 89 e5", 4, 2},
  };
  for (const Known& known : all) {
    const Result<StackCheck> found = find_stack_check(hex(known.code), kFunction);
    ASSERT_TRUE(found) << known.of << ": " << found.error().message();
    EXPECT_EQ(found->jump, known.jump) << known.of;
    EXPECT_EQ(found->jump_bytes, known.bytes) << known.of;
  }
}

TEST(StackCheck, EverythingElseIsRefused) {
  const char* all[] = {
      "",
      "0f 1f 44 00 00 49 3b 66 10 76 45",                       // a five-byte nop first
      "48 83 ec 48 48 89 44 24 50",                             // NOSPLIT
      "55 48 89 e5 48 83 ec 10",                                // C
      "f3 0f 1e fa 49 3b 66 10 76 45",                          // endbr64
      "49 3b 66 20 76 45",                                      // another field of g
      "49 3b 66 10 77 45",                                      // ja
      "49 3b 66 10 72 45",                                      // jb alone
      "49 3b 66 10 76 f0",                                      // backwards
      "49 3b 66 10 0f 86 00 20 00 00",                          // out of the function
      "49 3b 66 10 0f 86 0d 02",                                // cut in the jump
      "49 3b 66",                                               // cut in the comparison
      "4c 8d 64 24 08 4d 3b 66 10 76 45",                       // above the stack pointer
      "4c 8d 64 24 f8 49 3b 66 10 76 45",                       // compares the wrong register
      "49 89 e4 49 81 ec 88 ff 0f 00 4d 3b 66 10 76 58",        // no jb for the wrap
      "49 89 e4 49 81 ec 88 ff 0f 80 72 5e 4d 3b 66 10 76 58",  // a negative frame
      "64 48 8b 0c 25 f8 ff ff ff 48 3b 61 10 76 45",           // g from TLS: no release that is known
  };
  for (const char* code : all) EXPECT_FALSE(find_stack_check(hex(code), kFunction)) << code;
  EXPECT_FALSE(find_stack_check(hex("49 3b 66 10 76 45"), 0x40));  // the function is shorter than its jump
}

// Whatever the bytes are, a site is inside them, after a comparison that was checked byte for byte.
TEST(StackCheck, GarbledCodeGivesASiteThatIsAJumpOrNone) {
  const std::vector<uint8_t> good = hex("4c 8d a4 24 10 ff ff ff 4d 3b 66 10 0f 86 aa 01 00 00 48 81");
  std::mt19937 random(1);
  size_t found = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::vector<uint8_t> code = good;
    for (int n = random() % 3 + 1; n > 0; --n) code[random() % code.size()] = static_cast<uint8_t>(random());
    code.resize(random() % (code.size() + 1));
    const Result<StackCheck> check = find_stack_check(code, kFunction);
    if (!check) continue;
    ++found;
    ASSERT_LE(check->jump + check->jump_bytes, code.size());
    const uint8_t opcode = code[check->jump];
    ASSERT_TRUE(opcode == 0x76 || (opcode == 0x0f && code[check->jump + 1] == 0x86));
  }
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace memwhy::symbols
