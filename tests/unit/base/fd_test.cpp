// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "base/ids.h"

namespace memwhy {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0 || errno != EBADF; }
int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST(Fd, closes_when_it_goes) {
  int number = -1;
  {
    const Fd fd(open_null());
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, has_one_owner) {
  Fd first(open_null());
  const int number = first.get();
  Fd second(std::move(first));
  EXPECT_EQ(first.get(), -1);  // NOLINT(bugprone-use-after-move): what it is after the move is the question
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), number);
  Fd third(open_null());
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(replaced)) << "assignment closes what was held";
  EXPECT_EQ(third.get(), number);
  Fd& alias = third;
  third = std::move(alias);
  EXPECT_TRUE(is_open(third.get())) << "moving into itself keeps it";
}

TEST(Fd, gives_its_number_away) {
  Fd fd(open_null());
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
  fd.reset();  // of nothing
  EXPECT_EQ(fd.get(), -1);
}

TEST(Ranges, pages_touched_rounds_outwards) {
  EXPECT_EQ(pages_touched({0x1000, 0x3000}), (PageRange{1, 3}));
  EXPECT_EQ(pages_touched({0x1fff, 0x2001}), (PageRange{1, 3}));
  EXPECT_TRUE(pages_touched({0x1000, 0x1000}).empty());
  EXPECT_TRUE((AddressRange{0x10, 0x20}.contains(0x10)));
  EXPECT_FALSE((AddressRange{0x10, 0x20}.contains(0x20)));
}

}  // namespace
}  // namespace memwhy
