// SPDX-License-Identifier: Apache-2.0
// The child that reads memory, alive: it reads what a reader in this process reads; one that is silent costs the memory of one
// process, one that dies nothing. (This program is its own child: main is in children_test.cpp.)
#include "files/memory_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "remote/page_reader.h"

namespace memwhy::files {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

Fd folder_of(pid_t pid) {
  return Fd(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// So much memory of this process, of which the pages at `written` were written: each with its number, and one more.
class Pages {
 public:
  Pages(size_t count, std::initializer_list<size_t> written) : bytes_(count * kPageBytes) {
    start_ = static_cast<std::byte*>(
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::madvise(start_, bytes_, MADV_NOHUGEPAGE);
    for (const size_t page : written)
      std::fill_n(start_ + page * kPageBytes, kPageBytes, static_cast<std::byte>(page + 1));
  }
  ~Pages() { ::munmap(start_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  uint64_t at(size_t offset) const { return reinterpret_cast<uint64_t>(start_) + offset; }

 private:
  size_t bytes_;
  std::byte* start_ = nullptr;
};

class MemoryReaderTest : public testing::Test {
 protected:
  std::unique_ptr<remote::RemoteMemory> open(pid_t pid) {
    Result<std::unique_ptr<remote::RemoteMemory>> memory = reader_->open(folder_of(pid), pid);
    EXPECT_TRUE(memory) << memory.error().message();
    return memory ? *std::move(memory) : nullptr;
  }

  const std::shared_ptr<MemoryReader> reader_ =
      std::make_shared<MemoryReader>(MemoryReaderOptions{"/proc/self/exe", milliseconds(500)});
};

TEST_F(MemoryReaderTest, ReadsWhatIsResident) {
  const Pages pages(8, {0, 2, 3});
  const auto memory = open(::getpid());
  std::vector<std::byte> two(2 * kPageBytes);
  ASSERT_TRUE(memory->read(pages.at(2 * kPageBytes), two));
  EXPECT_EQ(two.front(), std::byte{3});
  EXPECT_EQ(two.back(), std::byte{4});
  const Status absent = memory->read(pages.at(0), two);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), ErrorCode::kAbsent);
  ASSERT_TRUE(memory->read_touched(pages.at(0), two));
  EXPECT_EQ(two.front(), std::byte{1});
  EXPECT_EQ(two.back(), std::byte{0});
  std::vector<std::byte> all(8 * kPageBytes - 100, std::byte{0xff});
  const Result<uint64_t> there = memory->read_present(pages.at(50), all);
  ASSERT_TRUE(there);
  EXPECT_EQ(*there, 3 * kPageBytes - 50);
  EXPECT_EQ(all.back(), std::byte{0});
  EXPECT_FALSE(memory->read(~uint64_t{0} - 4095, two)) << "an address range that wraps";
  EXPECT_FALSE(reader_->has_notices());
  EXPECT_GT(reader_->cpu_ns(), 0u);
}

// A process may have several runtimes, each with a reader: they take two descriptors, and not two each.
TEST_F(MemoryReaderTest, ReadersOfOneProcessHaveItsFilesInCommon) {
  const Pages pages(1, {0});
  const auto memory_files = [] {
    size_t n = 0;
    for (const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string name = std::filesystem::read_symlink(one, gone).filename();
      n += name == "mem" || name == "pagemap" ? 1 : 0;
    }
    return n;
  };
  MemoryReader::Shared shared;
  std::vector<std::unique_ptr<remote::RemoteMemory>> readers;
  for (int i = 0; i < 3; ++i) {
    auto memory = reader_->open(folder_of(::getpid()), ::getpid(), &shared);
    ASSERT_TRUE(memory);
    readers.push_back(*std::move(memory));
  }
  EXPECT_EQ(memory_files(), 2u);
  readers.erase(readers.begin());
  std::array<std::byte, 8> word{};
  for (const auto& memory : readers) EXPECT_TRUE(memory->read(pages.at(0), word));
  readers.clear();
  EXPECT_EQ(memory_files(), 0u) << "they are closed with the last of them";
}

// More pieces than one message has, and one that is larger than the window.
TEST_F(MemoryReaderTest, ReadsManyPiecesAndLargeOnes) {
  constexpr size_t kPages = 3000;
  const Pages pages(kPages, {});
  std::vector<remote::Piece> pieces;
  std::vector<std::array<std::byte, 8>> words(kPages);
  for (size_t i = 0; i < kPages; ++i) {
    if (i % 3 != 0) *reinterpret_cast<uint64_t*>(pages.at(i * kPageBytes)) = i;
    pieces.push_back({pages.at(i * kPageBytes), words[i]});
  }
  const auto memory = open(::getpid());
  ASSERT_TRUE(memory->read_each(pieces));
  for (size_t i = 0; i < kPages; ++i) {
    ASSERT_EQ(pieces[i].there, i % 3 != 0) << i;
    if (pieces[i].there) {
      ASSERT_EQ(std::to_integer<uint8_t>(words[i][0]), i & 0xff);
    }
  }
  std::vector<std::byte> large(kPages * kPageBytes);
  ASSERT_GT(large.size(), kWindowData);
  const Result<uint64_t> there = memory->read_present(pages.at(0), large);
  ASSERT_TRUE(there);
  EXPECT_EQ(*there, kPages / 3 * 2 * kPageBytes);
  EXPECT_EQ(std::to_integer<uint8_t>(large[2999 * kPageBytes]), 2999 & 0xff);
}

TEST_F(MemoryReaderTest, AProcessThatWentIsTold) {
  const Pages pages(1, {0});
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) ::pause();
  }
  const auto memory = open(child);
  std::array<std::byte, 8> word;
  EXPECT_TRUE(memory->read(pages.at(0), word));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const Status gone = memory->read(pages.at(0), word);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), ErrorCode::kTargetGone);
}

// Stopped, and ended by SIGKILL: it was slow. What hangs in the kernel is a scenario (hostile.memory_whose_file_server_is_silent).
TEST_F(MemoryReaderTest, ALateOneIsAskedAgainTwiceAndCostsTheMemoryOfOneProcess) {
  const Pages pages(1, {0});
  const auto memory = open(::getpid()), other = open(::getpid());
  std::array<std::byte, 8> word;
  ASSERT_TRUE(memory->read(pages.at(0), word));
  for (int late = 0; late < 2; ++late) {
    const pid_t child = reader_->child();
    ASSERT_GT(child, 0);
    ::kill(child, SIGSTOP);
    EXPECT_TRUE(memory->read(pages.at(0), word)) << late;
    EXPECT_NE(reader_->child(), child);
    EXPECT_THAT(reader_->take_notices(),
                ElementsAre(HasSubstr("did not answer within 500 ms: it was asked again")));
  }
  EXPECT_FALSE(memory->waits());
  ASSERT_GT(reader_->child(), 0);  // -1 would be everybody
  ::kill(reader_->child(), SIGSTOP);
  const Status silent = memory->read(pages.at(0), word);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code(), ErrorCode::kTooLate);
  EXPECT_THAT(reader_->take_notices(),
              ElementsAre(HasSubstr("did not answer within 500 ms: memwhy does not read it")));
  EXPECT_TRUE(memory->waits());
  EXPECT_FALSE(memory->read(pages.at(0), word)) << "it is not tried again";
  EXPECT_EQ(reader_->child(), -1) << "nobody was started for it";
  EXPECT_TRUE(other->read(pages.at(0), word)) << "others go on";
}

TEST_F(MemoryReaderTest, OneThatDiesIsReplaced) {
  const Pages pages(1, {0});
  const auto memory = open(::getpid());
  std::array<std::byte, 8> word;
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(memory->read(pages.at(0), word)) << round;
    ASSERT_GT(reader_->child(), 0);
    ::kill(reader_->child(), SIGKILL);
  }
  EXPECT_TRUE(memory->read(pages.at(0), word));
  EXPECT_THAT(reader_->take_notices(), ElementsAre(HasSubstr("died; it was replaced")));
}

// A page of code that the process has not touched is brought in; a plain read of it says that it is absent.
TEST_F(MemoryReaderTest, CodeIsBroughtIn) {
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  void* const code = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  ASSERT_NE(code, MAP_FAILED);
  const auto memory = open(::getpid());
  std::array<std::byte, 4> magic{};
  EXPECT_FALSE(memory->read(reinterpret_cast<uint64_t>(code), magic));
  ASSERT_TRUE(memory->read_code(reinterpret_cast<uint64_t>(code), magic));
  EXPECT_EQ(magic[1], std::byte{'E'});
  ::munmap(code, kPageBytes);
}

// A thread that lets nobody else run where the child must is no page that does not come.
TEST_F(MemoryReaderTest, OneThatGetsNoCpuIsWaitedFor) {
  const Pages pages(1, {0});
  const auto memory = open(::getpid());
  std::byte first{};
  ASSERT_TRUE(memory->read(pages.at(0), {&first, 1}));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  ASSERT_EQ(::sched_setaffinity(reader_->child(), sizeof one, &one), 0);
  std::atomic<bool> spins{false}, ended{false}, allowed{true};
  std::thread spinner([&] {
    const sched_param first_of_all{1};
    allowed = ::sched_setaffinity(0, sizeof one, &one) == 0 &&
              ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &first_of_all) == 0;
    spins = true;
    while (allowed && !ended) continue;
  });
  while (!spins) ::sched_yield();
  const Status read = memory->read(pages.at(0), {&first, 1});
  ended = true;
  spinner.join();
  if (!allowed) GTEST_SKIP() << "not allowed to keep others from a CPU";
  EXPECT_TRUE(read) << read.error().message();
  EXPECT_THAT(reader_->take_notices(), ElementsAre());
}

// Whoever has very many such files gets no more processes that hang.
TEST_F(MemoryReaderTest, ManySilentOnesEndTheReading) {
  const Pages pages(1, {0});
  std::array<std::byte, 8> word;
  for (int i = 0; i < 8; ++i) {
    const auto memory = open(::getpid());
    ASSERT_TRUE(memory->read(pages.at(0), word)) << i;
    for (int late = 0; late < 3; ++late) {
      ASSERT_GT(reader_->child(), 0);
      ::kill(reader_->child(), SIGSTOP);
      ASSERT_EQ(memory->read(pages.at(0), word).ok(), late < 2);
    }
  }
  EXPECT_FALSE(open(::getpid())->read(pages.at(0), word));
  EXPECT_EQ(reader_->child(), -1);
  EXPECT_THAT(reader_->take_notices(),
              testing::Contains(HasSubstr("No memory of any process is read any more")));
}

size_t open_files(pid_t pid, const std::string& name) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd/";
  size_t count = 0;
  for (int fd = 0; fd < 64; ++fd) {
    std::array<char, 256> what{};
    if (::readlink((folder + std::to_string(fd)).c_str(), what.data(), what.size() - 1) >= 0)
      count += name == what.data();
  }
  return count;
}

// The child that may never return has a copy, so that no close of ours is the last; asked to let go, it has none at once.
TEST_F(MemoryReaderTest, KeepsADescriptorOpen) {
  const Pages pages(1, {0});
  const auto memory = open(::getpid()), other = open(::getpid());
  std::array<std::byte, 8> word;
  ASSERT_TRUE(memory->read(pages.at(0), word));
  const Fd link(::open("/etc/hostname", O_RDONLY | O_CLOEXEC));
  memory->keep_open(link.get());
  ASSERT_TRUE(memory->read(pages.at(0), word));
  EXPECT_EQ(open_files(reader_->child(), "/etc/hostname"), 1u);
  ASSERT_TRUE(other->read(pages.at(0), word));
  EXPECT_EQ(open_files(reader_->child(), "/etc/hostname"), 0u) << "that of the memory that is read";
  ASSERT_TRUE(memory->read(pages.at(0), word));
  EXPECT_EQ(open_files(reader_->child(), "/etc/hostname"), 1u);
  memory->keep_open(-1);
  EXPECT_EQ(open_files(reader_->child(), "/etc/hostname"), 0u);
  ASSERT_TRUE(memory->read(pages.at(0), word));
  EXPECT_FALSE(memory->waits());
}

// It has nothing of ours open but what was handed to it.
TEST_F(MemoryReaderTest, InheritsNothing) {
  const Fd secret(::open("/etc/hostname", O_RDONLY));  // not close-on-exec
  const Pages pages(1, {0});
  const auto memory = open(::getpid());
  std::array<std::byte, 8> word;
  ASSERT_TRUE(memory->read(pages.at(0), word));
  const std::string folder = "/proc/" + std::to_string(reader_->child()) + "/fd/";
  const std::string own = "/proc/" + std::to_string(::getpid()) + "/";
  size_t count = 0;
  for (int fd = 0; fd < 64; ++fd) {
    std::array<char, 256> name{};
    if (::readlink((folder + std::to_string(fd)).c_str(), name.data(), name.size() - 1) < 0) continue;
    const std::string what = name.data();
    EXPECT_TRUE(what == "/dev/null" || what.starts_with("socket:") || what.starts_with("/memfd:memwhy") ||
                what == own + "mem" || what == own + "pagemap")
        << what;
    ++count;
  }
  EXPECT_EQ(count, 7u);
}

}  // namespace
}  // namespace memwhy::files
