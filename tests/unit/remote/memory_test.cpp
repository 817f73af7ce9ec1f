// SPDX-License-Identifier: Apache-2.0
// Reading a process that is this one or a child: what is there is read, what is absent is not brought in, and
// a process that went is told.
#include "remote/memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/ids.h"
#include "unit/remote/fake_memory.h"

namespace memwhy::remote::test {
namespace {

Result<ProcessMemory> open_process(pid_t pid) {
  return ProcessMemory::open(Fd(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY)));
}

// Eight pages, of which the first, the third and the fourth were written.
class OwnMemory : public testing::Test {
 protected:
  OwnMemory() {
    address_ = static_cast<std::byte*>(
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::madvise(address_, kBytes, MADV_NOHUGEPAGE);
    for (const size_t page : {0, 2, 3})
      std::fill_n(address_ + page * kPageBytes, kPageBytes, static_cast<std::byte>(page + 1));
  }
  ~OwnMemory() override { ::munmap(address_, kBytes); }

  uint64_t at(size_t offset) const { return reinterpret_cast<uint64_t>(address_) + offset; }
  size_t resident() const {
    std::array<unsigned char, 8> pages{};
    ::mincore(address_, kBytes, pages.data());
    return static_cast<size_t>(
        std::count_if(pages.begin(), pages.end(), [](auto p) { return (p & 1) != 0; }));
  }

  static constexpr size_t kBytes = 8 * kPageBytes;
  std::byte* address_ = nullptr;
};

TEST_F(OwnMemory, reads_what_is_resident_and_brings_in_nothing) {
  Result<ProcessMemory> memory = open_process(::getpid());
  ASSERT_TRUE(memory.ok());
  std::vector<std::byte> bytes(2 * kPageBytes);
  ASSERT_TRUE(memory->read(at(2 * kPageBytes), bytes).ok());
  EXPECT_EQ(bytes.front(), std::byte{3});
  EXPECT_EQ(bytes.back(), std::byte{4});
  EXPECT_EQ(memory->bytes_read(), 2 * kPageBytes);

  // Two bytes, the second on a page that is absent.
  Status status = memory->read(at(kPageBytes - 1), std::span(bytes).first(2));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), ErrorCode::kAbsent);
  EXPECT_EQ(memory->bytes_read(), 2 * kPageBytes);

  std::vector<std::byte> across(64, std::byte{0xff});
  ASSERT_TRUE(memory->read_touched(at(kPageBytes - 32), across).ok());
  EXPECT_EQ(across[31], std::byte{1});
  EXPECT_EQ(across[32], std::byte{0}) << "a page that was never touched";
  EXPECT_EQ(across[63], std::byte{0});
  EXPECT_EQ(memory->bytes_read(), 2 * kPageBytes + 32);

  std::vector<std::byte> all(kBytes - 100, std::byte{0xff});
  Result<uint64_t> there = memory->read_present(at(50), all);
  ASSERT_TRUE(there.ok());
  EXPECT_EQ(*there, 3 * kPageBytes - 50);
  EXPECT_EQ(all[0], std::byte{1});
  EXPECT_EQ(all[kPageBytes - 51], std::byte{1});
  EXPECT_EQ(all[kPageBytes - 50], std::byte{0}) << "absent pages read as zeros";
  EXPECT_EQ(all[2 * kPageBytes - 50], std::byte{3});
  EXPECT_EQ(all.back(), std::byte{0});
  EXPECT_EQ(resident(), 3u);
}

// Small pieces on pages that they share, across an absent one, in any order, and of addresses that are none.
TEST_F(OwnMemory, pieces_that_share_pages_are_read_together) {
  for (size_t i = 0; i < kPageBytes; i += 8) std::memcpy(address_ + 2 * kPageBytes + i, &i, 8);
  Result<ProcessMemory> memory = open_process(::getpid());
  ASSERT_TRUE(memory.ok());
  std::array<uint64_t, 200> words{};
  std::vector<Piece> pieces;
  for (size_t i = 0; i < words.size(); ++i)
    pieces.push_back({at(2 * kPageBytes + 16 * i), std::as_writable_bytes(std::span(&words[i], 1))});
  ASSERT_TRUE(memory->read_each(pieces).ok());
  for (size_t i = 0; i < words.size(); ++i) {
    EXPECT_TRUE(pieces[i].there);
    EXPECT_EQ(words[i], 16 * i);
  }
  EXPECT_EQ(memory->calls(), 2u) << "one of pagemap, one of memory";

  std::array<std::array<std::byte, 64>, 6> into;
  for (auto& each : into) each.fill(std::byte{0xee});
  std::vector<Piece> edges = {{at(3 * kPageBytes - 32), into[0]}, {at(4 * kPageBytes - 64), into[1]},
                              {at(4 * kPageBytes - 32), into[2]}, {at(4 * kPageBytes - 16), into[3], true},
                              {at(3 * kPageBytes), into[4]},      {~uint64_t{0} - 10, into[5]}};
  ASSERT_TRUE(memory->read_each(edges).ok());
  EXPECT_TRUE(edges[0].there && edges[1].there && edges[3].there && edges[4].there);
  EXPECT_FALSE(edges[2].there) << "its second half is absent";
  EXPECT_FALSE(edges[5].there);
  EXPECT_EQ(into[0][63], std::byte{4});
  EXPECT_EQ(into[2][0], std::byte{0xee});
  EXPECT_EQ(into[3][15], std::byte{4});
  EXPECT_EQ(into[3][16], std::byte{0});
  EXPECT_EQ(resident(), 3u);
}

TEST_F(OwnMemory, values_and_arrays) {
  Result<ProcessMemory> memory = open_process(::getpid());
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(*read_value<uint32_t>(*memory, at(2 * kPageBytes)), 0x03030303u);
  Result<std::vector<uint16_t>> array = read_array<uint16_t>(*memory, at(3 * kPageBytes - 2), 2);
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(*array, (std::vector<uint16_t>{0x0303, 0x0404}));
  EXPECT_EQ(read_array<uint16_t>(*memory, at(0), 0)->size(), 0u);
  EXPECT_FALSE(read_array<uint64_t>(*memory, at(0), 1'000'000'000'000).ok())
      << "no memory is taken for a lie";
}

TEST_F(OwnMemory, hostile_addresses_are_incomplete_and_not_the_end_of_the_process) {
  Result<ProcessMemory> memory = open_process(::getpid());
  ASSERT_TRUE(memory.ok());
  std::vector<std::byte> bytes(2 * kPageBytes);
  for (const uint64_t address :
       {uint64_t{0}, uint64_t{1}, uint64_t{1} << 47, (uint64_t{1} << 56) - 1, uint64_t{1} << 63,
        uint64_t{0xffff'8000'0000'0000}, ~uint64_t{0}, ~uint64_t{0} - 2 * kPageBytes, ~uint64_t{0} - 4095}) {
    Status status = memory->read(address, bytes);
    ASSERT_FALSE(status.ok()) << address;
    EXPECT_EQ(status.error().code(), ErrorCode::kAbsent) << std::hex << address;
    Result<uint64_t> there = memory->read_present(address, bytes);
    EXPECT_TRUE(there.ok() ? *there == 0 : there.error().code() == ErrorCode::kAbsent) << std::hex << address;
  }
}

TEST(ProcessMemoryEnd, a_process_that_went_is_told) {
  // Written, so that the child has its page from the start.
  uint64_t value = 0x1234;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::pause();
    ::_exit(0);
  }
  Result<ProcessMemory> memory = open_process(child);
  ASSERT_TRUE(memory.ok());
  const auto address = reinterpret_cast<uint64_t>(&value);
  Result<uint64_t> before = read_value<uint64_t>(*memory, address);
  EXPECT_TRUE(before.ok() && *before == 0x1234);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  Result<uint64_t> after = read_value<uint64_t>(*memory, address);
  ASSERT_FALSE(after.ok());
  EXPECT_EQ(after.error().code(), ErrorCode::kTargetGone);
  std::array<std::byte, 8> bytes;
  EXPECT_EQ(memory->read_present(address, bytes).error().code(), ErrorCode::kTargetGone);
  Result<ProcessMemory> again = open_process(child);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kTargetGone);
}

// A page that was there when it was looked up, and that its owner drops before it is read, where somebody may keep whoever
// faults it in waiting for ever. Through /proc/PID/mem the kernel can't wait (its faults are not to be tried again) and says
// EIO; process_vm_readv, which does wait, is not used for that reason.
TEST(ProcessMemoryEnd, a_page_that_userfaultfd_holds_back_does_not_hold_the_reader) {
  const Fd faults(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
  if (!faults) GTEST_SKIP() << "userfaultfd is not to be had here";
  uffdio_api api{};
  api.api = UFFD_API;
  ASSERT_EQ(::ioctl(faults.get(), UFFDIO_API, &api), 0);
  auto* const page = static_cast<std::byte*>(
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  page[0] = std::byte{1};
  uffdio_register range{};
  range.range = {reinterpret_cast<uint64_t>(page), kPageBytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(::ioctl(faults.get(), UFFDIO_REGISTER, &range), 0);
  ASSERT_EQ(::madvise(page, kPageBytes, MADV_DONTNEED), 0);
  const Fd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  ::alarm(60);  // ends the test program if it waits
  std::byte byte{};
  EXPECT_EQ(::pread(memory.get(), &byte, 1, static_cast<off_t>(reinterpret_cast<uint64_t>(page))), -1);
  EXPECT_EQ(errno, EIO);
  ::alarm(0);
  ::munmap(page, kPageBytes);
}

TEST(FakeMemory, is_as_strict_as_a_process) {
  FakeMemory memory;
  memory.put_words(kPageBytes - 8, {1, 2});
  EXPECT_EQ(*read_array<uint64_t>(memory, kPageBytes - 8, 2), (std::vector<uint64_t>{1, 2}));
  memory.drop(1);
  EXPECT_EQ(read_array<uint64_t>(memory, kPageBytes - 8, 2).error().code(), ErrorCode::kAbsent);
  std::array<std::byte, 16> bytes;
  EXPECT_EQ(*memory.read_present(kPageBytes - 8, bytes), 8u);
}

}  // namespace
}  // namespace memwhy::remote::test
