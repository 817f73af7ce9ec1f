// SPDX-License-Identifier: Apache-2.0
// Headers, unwind tables and Go line tables that were made at random by an enemy: whatever they say, an answer is in order and
// holds the address that was asked for. Whole classes of damage instead of instances, the same ones in each run.
#include <gtest/gtest.h>

#include "fuzz/support/check.h"
#include "symbols/binary.h"
#include "unit/symbols/made_file.h"

namespace memwhy::symbols {
namespace {

using fuzz::Random;
using testing::MadeFile;

constexpr uint64_t kSize = 0x10000, kBase = 0x400000;
constexpr uint64_t kNote = 0x400, kHeader = 0x800, kFrames = 0x1000, kGoTable = 0x4000;
constexpr uint64_t kCode = 4;  // segments of it

// Where an address or a length is easy to get wrong: at the ends of what a number can be, and not far from either.
uint64_t number_at_an_end(Random& random) {
  switch (random.below(4)) {
    case 0:
      return random.below(0x3000);
    case 1:
      return 0 - random.below(0x3000) - 1;
    case 2:
      return 0 - (uint64_t{1} << random.below(40)) - random.below(2);
    default:
      return random.nasty();
  }
}

class EnemyFile {
 public:
  explicit EnemyFile(uint64_t seed) : random_(seed), file_(std::make_unique<MadeFile>(kSize)) {
    file_->headers(3 + kCode);
    file_->program(0, PT_LOAD, PF_R, 0, kBase, kSize);
    file_->program(1, PT_GNU_EH_FRAME, PF_R, kHeader, kBase + kHeader, 12);
    file_->program(2, PT_NOTE, PF_R, kNote, kBase + kNote, MadeFile::kGoNoteBytes);
    for (uint64_t i = 0; i < kCode; ++i) code_segment(3 + i);
    file_->go_note(kNote);
    unwind_table();
    if (random_.one_in(2)) go_table();
  }
  std::unique_ptr<MadeFile> take() { return std::move(file_); }
  // Offsets of code, and others.
  std::vector<uint64_t> offsets() {
    std::vector<uint64_t> out = {0, kSize, number_at_an_end(random_)};
    for (const Segment& segment : code_)
      for (const uint64_t within : {uint64_t{0}, segment.file_bytes / 2, segment.file_bytes - 1,
                                    random_.below(segment.file_bytes), 0 - random_.below(0x1000)})
        out.push_back(segment.offset + within);
    return out;
  }

 private:
  void code_segment(uint64_t index) {
    Segment segment{
        random_.below(kSize), kBase + random_.below(kSize), 1 + random_.below(0x2000), 0, false, true};
    if (random_.one_in(2)) segment.offset = number_at_an_end(random_);
    if (random_.one_in(2)) segment.vaddr = number_at_an_end(random_);
    if (random_.one_in(4)) segment.file_bytes = number_at_an_end(random_);
    file_->program(index, PT_LOAD, PF_R | PF_X, segment.offset, segment.vaddr, segment.file_bytes);
    code_.push_back(segment);
  }
  // An address of one of the segments of code.
  uint64_t address() {
    const Segment& segment = code_[random_.below(code_.size())];
    return segment.vaddr + random_.below(std::min<uint64_t>(segment.file_bytes, 0x4000));
  }

  // One common entry whose pointers are of 8 bytes, and functions anywhere.
  void unwind_table() {
    const uint8_t header[] = {1, 0x1b, 0xff, 0xff};
    file_->put(kHeader, header);
    file_->put(kHeader + 4, static_cast<int32_t>(kFrames - kHeader - 4));
    const uint8_t common[] = {16, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0, 0x0c, 7, 8};
    file_->put(kFrames, common);
    uint64_t at = kFrames + sizeof common;
    for (size_t i = 0; i < 6; ++i) {
      constexpr uint32_t kBytes = 40;
      file_->put(at, kBytes);
      file_->put(at + 4, static_cast<uint32_t>(at + 4 - kFrames));
      file_->put(at + 8, address());
      file_->put(at + 16, random_.one_in(2) ? uint64_t{1} << random_.below(33) : number_at_an_end(random_));
      for (uint64_t byte = 25; byte < kBytes + 4; ++byte)
        file_->put(at + byte, static_cast<uint8_t>(random_.one_in(2) ? random_.below(0x30) : random_.next()));
      at += 4 + kBytes;
    }
  }

  // As Go 1.20 and later write it, with the function that the program starts in.
  void go_table() {
    constexpr uint32_t kFunctions = 4, kRecord = 8 * kFunctions + 8, kRecordBytes = 72;
    constexpr uint64_t kNames = 80, kUnits = 0x100, kFiles = 0x140, kSteps = 0x180, kTable = 0x400;
    const uint64_t text = address();
    const uint64_t words[] = {
        uint64_t{0x0801} << 48 | 0xfffffff1, kFunctions, 1, text, kNames, kUnits, kFiles, kSteps, kTable};
    file_->put(kGoTable, words);
    file_->text(kGoTable + kNames, std::string("\0_rt0_amd64_linux\0", 18));
    uint32_t entry = 0;
    for (uint32_t i = 0; i <= kFunctions; ++i) {
      const uint32_t slot[] = {entry, kRecord + i * kRecordBytes};
      file_->put(kGoTable + kTable + 8 * i, slot);
      entry += 1 + static_cast<uint32_t>(random_.one_in(4) ? random_.nasty() : random_.below(0x1000));
      const uint32_t steps_at = 1 + static_cast<uint32_t>(random_.below(64));
      const uint32_t function[] = {slot[0], 1,          0, 0, steps_at, 1,   1,   3,   0,
                                   1,       0x04000000, 0, 0, 0,        ~0u, ~0u, ~0u, ~0u};
      if (i < kFunctions) file_->put(kGoTable + kTable + slot[1], function);
    }
    for (uint64_t byte = 0; byte < 128; ++byte)
      file_->put(kGoTable + kSteps + byte,
                 static_cast<uint8_t>(random_.one_in(2) ? random_.below(0x80) : random_.next()));
    file_->put(24, text);  // e_entry
  }

  Random random_;
  std::unique_ptr<MadeFile> file_;
  std::vector<Segment> code_;
};

TEST(HostileFrames, AnAnswerIsInOrderAndHoldsItsAddress) {
  size_t ruled = 0, guessed = 0, go = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    EnemyFile enemy(seed);
    const std::vector<uint64_t> offsets = enemy.offsets();
    auto binary = Binary::open(enemy.take());
    ASSERT_TRUE(binary) << binary.error().message();
    go += (*binary)->go_table() ? 1 : 0;
    for (const uint64_t offset : offsets) {
      if (offset >= kMostFileBytes) {
        ASSERT_FALSE((*binary)->elf().vaddr_of(offset)) << "file " << seed << ", offset " << offset;
        continue;
      }
      const FunctionRules rules = (*binary)->frame_rules(offset, false);
      ASSERT_TRUE(rules.well_formed()) << "file " << seed << ", offset " << offset;
      ASSERT_TRUE(rules.contains(offset)) << "file " << seed << ", offset " << offset;
      ruled += rules.why == FunctionRules::Why::kRule ? 1 : 0;
      guessed += rules.why == FunctionRules::Why::kNoEntry ? 1 : 0;
    }
  }
  // Else the files would be nonsense, and nothing be tested.
  EXPECT_GT(ruled, 1000u);
  EXPECT_GT(guessed, 2000u);
  EXPECT_GT(go, 500u);
}

TEST(HostileFrames, WhatIsInFrontOfAddressZeroHasNoAddress) {
  const std::vector<Segment> segments = {{0x1800, 0x400, 0x100, 0x100, false, true}};
  EXPECT_EQ(vaddr_of(segments, 0x1810), 0x410u);
  EXPECT_EQ(vaddr_of(segments, 0x1400), 0u);
  EXPECT_EQ(vaddr_of(segments, 0x13ff), std::nullopt);
}

}  // namespace
}  // namespace memwhy::symbols
