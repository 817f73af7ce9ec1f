// SPDX-License-Identifier: Apache-2.0
#include "symbols/code_map.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "symbols/local_binaries.h"
#include "unit/symbols/target.h"

namespace memwhy::symbols {
namespace {

std::vector<std::string> names(std::string_view file, std::vector<CodeOffset> at, size_t piece = 1 << 20) {
  CodeMapNames map(at);
  for (size_t from = 0; from < file.size(); from += piece) map.read(file.substr(from, piece));
  std::vector<std::string> out;
  for (const SourceFrames& frames : map.take()) out.push_back(frames.empty() ? "" : frames[0].function);
  return out;
}

using Names = std::vector<std::string>;
constexpr std::string_view kFile =
    "1000 100 first\n"
    "0x2000 0x80 JS:*second /srv/app.js:12:3\n"
    "1080 40 instead of a part of the first\n";

TEST(CodeMap, TheLastLineThatCoversAnAddressCounts) {
  EXPECT_EQ(
      names(kFile, {{0x1000, false}, {0x10bf, false}, {0x10c0, false}, {0x1100, false}, {0x207f, false}}),
      (Names{"first", "instead of a part of the first", "first", "", "JS:*second /srv/app.js:12:3"}));
}

TEST(CodeMap, AReturnAddressIsOfTheCallBeforeIt) {
  EXPECT_EQ(names(kFile, {{0x1100, true}, {0x1000, true}, {0x2080, true}, {0, true}}),
            (Names{"first", "", "JS:*second /srv/app.js:12:3", ""}));
}

TEST(CodeMap, LinesGoOnInTheNextPiece) {
  for (size_t piece = 1; piece < kFile.size(); ++piece)
    EXPECT_EQ(names(kFile, {{0x1090, false}, {0x2001, false}}, piece),
              (Names{"instead of a part of the first", "JS:*second /srv/app.js:12:3"}))
        << piece;
}

TEST(CodeMap, WhatIsNoLineIsLeftOut) {
  const std::string file =
      "\n \n1000\n1000 \nzz 10 no\n1000 10\n1000 10 \n-1 10 no\n11111111111111111 10 no\n1000 10 " +
      std::string(5000, 'x') + "\n2000 10 yes\nfff0 ffffffffffffffff wraps\n3000 10 no end";
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, size_t{1} << 20})
    EXPECT_EQ(names(file, {{0x1000, false}, {0x2000, false}, {0x3000, false}, {0xfff0, false}}, piece),
              (Names{"", "yes", "", "wraps"}))
        << piece;
}

// A runtime writes it for its own process; in /tmp anybody may have made one for it.
TEST(CodeMap, OnlyItsOwnUserOrRootMayHaveWrittenIt) {
  const std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  const std::vector<CodeOffset> at = {{0x2001, false}};
  LocalBinaries binaries(testing::open_proc());
  EXPECT_FALSE(binaries.code_names(::getpid(), at));
  std::ofstream(path) << kFile;
  const Result<std::vector<SourceFrames>> found = binaries.code_names(::getpid(), at);
  const bool given_away = ::chown(path.c_str(), 65534, 65534) == 0;  // needs root
  const Result<std::vector<SourceFrames>> others = binaries.code_names(::getpid(), at);
  std::filesystem::remove(path);
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ((*found)[0].size(), 1u);
  EXPECT_EQ((*found)[0][0].function, "JS:*second /srv/app.js:12:3");
  EXPECT_EQ(others.ok(), !given_away);
  std::filesystem::create_symlink("/proc/self/maps", path);  // root would read what it may not
  EXPECT_FALSE(binaries.code_names(::getpid(), at));
  std::filesystem::remove(path);
}

// Beyond what is read of one the newest counts.
TEST(CodeMap, OfALargeFileTheEndIsRead) {
  const std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  {
    std::ofstream file(path);
    file << "1000 10 old\n2000 10 kept\n";
    std::string line = "9000 10 ";
    while (line.size() < 500) line += "4000 ff000 ";  // a piece of it looks like a line
    line += "\n";
    for (uint64_t n = 0; n <= kMostCodeMapBytes; n += line.size()) file << line;
    file << "1000 10 new\n";
  }
  LocalBinaries binaries(testing::open_proc());
  const std::vector<CodeOffset> at = {{0x1000, false}, {0x2000, false}, {0x5000, false}, {0xff000, false}};
  const Result<std::vector<SourceFrames>> found = binaries.code_names(::getpid(), at);
  std::filesystem::remove(path);
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ((*found)[0].size(), 1u);
  EXPECT_EQ((*found)[0][0].function, "new");
  for (const size_t i : {1u, 2u, 3u}) EXPECT_TRUE((*found)[i].empty()) << (*found)[i][0].function;
}

// Each line covers each address: what one question costs has a limit.
TEST(CodeMap, LinesOverEachOtherEnd) {
  std::vector<CodeOffset> at(1024);
  for (size_t i = 0; i < at.size(); ++i) at[i].file_offset = i;
  CodeMapNames map(at);
  for (int i = 0; i < 1'000'000; ++i) map.read("0 ffffffffffff x\n");
  EXPECT_EQ(map.take()[1023].size(), 1u);
}

}  // namespace
}  // namespace memwhy::symbols
