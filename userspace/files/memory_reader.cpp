// SPDX-License-Identifier: Apache-2.0
#include "files/memory_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "files/child.h"

namespace memwhy::files {
namespace {

constexpr int kMostGivenUp = 8;  // memories; for each a child may hang
constexpr int kMostDeaths = 3;   // of children that read the same
constexpr size_t kMostSentences = 16;
constexpr int kMostWaits = 5;  // for a child that has got no CPU
constexpr int kDiesMs = 200;   // one that does not hang in the kernel
constexpr int kMostLate = 2;   // then a memory that answers late is read no more

Error silent() { return {ErrorCode::kTooLate, "its memory does not answer"}; }

uint64_t cpu_ns_of(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

// It waits for a CPU, or has one. What hangs in the kernel sleeps there.
bool is_runnable(pid_t pid) {
  const Fd file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  const ssize_t read = file ? ::read(file.get(), text.data(), text.size()) : -1;
  const std::string_view line(text.data(), read < 0 ? 0 : static_cast<size_t>(read));
  const size_t name_end = line.rfind(") ");  // "4711 (memwhy) R 1 …"
  return name_end != std::string_view::npos && line.substr(name_end + 2).starts_with('R');
}

// That was killed, by its descriptor.
bool ends(const Fd& child) {
  pollfd end{child.get(), POLLIN, 0};
  return ::poll(&end, 1, kDiesMs) > 0;
}

}  // namespace

class MemoryReader::Memory final : public remote::RemoteMemory {
 public:
  Memory(std::shared_ptr<MemoryReader> reader, std::shared_ptr<const remote::MemoryFiles> files,
         uint64_t number, Pid tgid)
      : reader_(std::move(reader)), files_(std::move(files)), number_(number), tgid_(tgid) {}

  Status read(uint64_t address, std::span<std::byte> into) override {
    return status_of(read_range(address, into, How::kRead));
  }
  Status read_touched(uint64_t address, std::span<std::byte> into) override {
    return status_of(read_range(address, into, How::kTouched));
  }
  Status read_code(uint64_t address, std::span<std::byte> into) override {
    return status_of(read_range(address, into, How::kCode));
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    return read_range(address, into, How::kPresent);
  }

  bool waits() override {
    const std::lock_guard lock(reader_->lock_);
    return silent_;
  }
  // The child gets it with the files at the next read, and returns what it has now before anything else closes that.
  void keep_open(int descriptor) override {
    const std::lock_guard lock(reader_->lock_);
    kept_open_ = descriptor;
    if (reader_->current_ != number_) return;
    reader_->current_ = 0;
    if (descriptor < 0) static_cast<void>(reader_->exchange(*this, 0));
  }

  Status read_each(std::span<remote::Piece> pieces) override {
    const std::lock_guard lock(reader_->lock_);
    while (!pieces.empty()) {
      size_t n = 0;
      for (size_t bytes = 0; n < pieces.size() && n < kMostPieces; ++n) {
        bytes += pieces[n].into.size();
        if (bytes > kWindowData) break;
      }
      if (n == 0) {  // larger than the window
        n = 1;
        const Result<uint64_t> large = read_locked(pieces.front().address, pieces.front().into,
                                                   pieces.front().zeros ? How::kPresent : How::kRead);
        pieces.front().there = large.ok();
        if (!large && large.error().code() == ErrorCode::kTargetGone) return large.error();
      } else if (Status status = read_some(pieces.first(n)); !status) {
        return status;
      }
      pieces = pieces.subspan(n);
    }
    return {};
  }

 private:
  friend class MemoryReader;

  static Status status_of(Result<uint64_t> read) { return read ? Status() : Status(std::move(read).error()); }

  // Has `count` pieces read that put_all() wrote, by a child that lives.
  template <typename Put>
  Status ask(size_t count, Put put_all) {
    Status asked = silent();
    for (int deaths = 0; !silent_ && deaths < kMostDeaths; ++deaths) {
      if (Status started = reader_->start(); !started) return started;
      put_all();
      asked = reader_->exchange(*this, static_cast<uint32_t>(count));
      if (asked) return asked;
      if (asked.error().code() == ErrorCode::kTooLate) silent_ = !is_asked_again();
    }
    silent_ = true;
    return asked;
  }

  // A child that could be killed did not hang: it waited for the target's own lock, or for a disk, on a busy machine.
  bool is_asked_again() {
    const bool again = !reader_->is_left_behind_ && late_++ < kMostLate;
    reader_->notice(fmt::format(
        "The memory of pid {} did not answer within {} ms: {}.", tgid_, reader_->options_.patience.count(),
        again ? "it was asked again"
              : "memwhy does not read it any more, so what its runtime holds is unknown "
                "from then on"));
    if (!again && ++reader_->given_up_ == kMostGivenUp)
      reader_->notice(
          "No memory of any process is read any more: too many of those that read it hang in the kernel.");
    return again;
  }

  Result<uint64_t> read_range(uint64_t address, std::span<std::byte> into, How how) {
    const std::lock_guard lock(reader_->lock_);
    return read_locked(address, into, how);
  }

  // The bytes that were there.
  Result<uint64_t> read_locked(uint64_t address, std::span<std::byte> into, How how) {
    if (address + into.size() < address) return Error(ErrorCode::kAbsent, "an address range wraps");
    uint64_t there = 0;
    while (!into.empty()) {
      const std::span<std::byte> part = into.first(std::min(into.size(), kWindowData));
      Status asked = ask(1, [&] { put(0, address, part.size(), how); });
      if (!asked) return std::move(asked).error();
      const Outcome what = outcome(0);
      if (what == Outcome::kGone) return Error(ErrorCode::kTargetGone, "the address space is gone");
      if (what != Outcome::kDone) return Error(ErrorCode::kAbsent, "a page is not resident");
      std::memcpy(part.data(), reader_->window_->data(), part.size());
      const uint64_t claimed = reader_->window_->list()[0].there;
      there += std::min<uint64_t>(claimed, part.size());
      into = into.subspan(part.size());
      address += part.size();
    }
    return there;
  }

  // As many as the window has room for.
  Status read_some(std::span<remote::Piece> pieces) {
    Status asked = ask(pieces.size(), [&] {
      for (size_t i = 0; i < pieces.size(); ++i)
        put(i, pieces[i].address, pieces[i].into.size(), pieces[i].zeros ? How::kPresent : How::kRead);
    });
    if (!asked) return asked;
    const std::byte* from = reader_->window_->data();
    bool gone = false;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Outcome what = outcome(i);
      pieces[i].there = what == Outcome::kDone;
      gone = gone || what == Outcome::kGone;
      if (pieces[i].there) std::memcpy(pieces[i].into.data(), from, pieces[i].into.size());
      from += pieces[i].into.size();
    }
    if (gone) return Error(ErrorCode::kTargetGone, "the address space is gone");
    return {};
  }

  void put(size_t i, uint64_t address, uint64_t bytes, How how) {
    volatile Wanted& wanted = reader_->window_->list()[i];
    wanted.address = address;
    wanted.bytes = bytes;
    wanted.how = how;
    wanted.outcome = Outcome::kAbsent;
    wanted.there = 0;
  }
  Outcome outcome(size_t i) { return reader_->window_->list()[i].outcome; }

  const std::shared_ptr<MemoryReader> reader_;
  const std::shared_ptr<const remote::MemoryFiles> files_;
  const uint64_t number_;
  const Pid tgid_;
  int kept_open_ = -1;
  int late_ = 0;
  bool silent_ = false;  // it was waited for in vain
};

Result<std::unique_ptr<remote::RemoteMemory>> MemoryReader::open(const Fd& process, Pid tgid,
                                                                 Shared* shared) {
  std::shared_ptr<const remote::MemoryFiles> files = shared != nullptr ? shared->lock() : nullptr;
  if (files == nullptr) {
    Result<remote::MemoryFiles> opened = remote::MemoryFiles::open(process);
    if (!opened) return std::move(opened).error();
    files = std::make_shared<const remote::MemoryFiles>(*std::move(opened));
    if (shared != nullptr) *shared = files;
  }
  const std::lock_guard lock(lock_);
  return std::unique_ptr<remote::RemoteMemory>(
      std::make_unique<Memory>(shared_from_this(), std::move(files), ++opened_, tgid));
}

Status MemoryReader::start() {
  if (child_.pid > 0) return {};
  if (given_up_ >= kMostGivenUp) return silent();
  window_.reset();
  Result<Window> window = Window::make();
  if (!window) return std::move(window).error();
  Result<Child> child = spawn(options_.program, kMemoryWord, window->file());
  if (!child) return std::move(child).error();
  const int64_t ms = options_.patience.count();
  const timeval patience{ms / 1000, ms % 1000 * 1000};
  ::setsockopt(child->socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  window_.emplace(*std::move(window));
  child_ = *std::move(child);
  current_ = 0;
  return {};
}

void MemoryReader::end_child() {
  ended_cpu_ns_ += cpu_ns_of(child_.pid);
  dying_.kill(child_);
}

Status MemoryReader::exchange(const Memory& of, uint32_t pieces) {
  const bool has = current_ == of.number_ || pieces == 0;
  const std::array<int, kMostFiles> files = {of.files_->memory.get(), of.files_->pagemap.get(),
                                             of.kept_open_};
  const bool sent = send_pieces(child_.socket.get(), pieces, has ? std::span<const int>() : files);
  uint32_t answered = 0;
  Heard heard = sent ? hear_pieces(child_.socket.get(), answered, nullptr) : Heard::kGone;
  for (int i = 1; i < kMostWaits && heard == Heard::kNothing && is_runnable(child_.pid); ++i)
    heard = hear_pieces(child_.socket.get(), answered, nullptr);
  current_ = pieces == 0 ? 0 : of.number_;
  if (heard == Heard::kWord && answered == pieces) return {};
  const Fd child(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid, 0)));
  end_child();
  if (heard != Heard::kNothing) {
    notice("The process that reads the memory of targets died; it was replaced.");
    return Error(ErrorCode::kEnvironment, "the process that reads it died");
  }
  is_left_behind_ = !ends(child);
  return silent();
}

void MemoryReader::notice(std::string sentence) {
  const bool known = std::find(notices_.begin(), notices_.end(), sentence) != notices_.end();
  if (!known && notices_.size() < kMostSentences) notices_.push_back(std::move(sentence));
}

std::vector<std::string> MemoryReader::take_notices() {
  const std::lock_guard lock(lock_);
  return std::exchange(notices_, {});
}

bool MemoryReader::has_notices() const {
  const std::lock_guard lock(lock_);
  return !notices_.empty();
}

uint64_t MemoryReader::cpu_ns() const {
  const std::lock_guard lock(lock_);
  return ended_cpu_ns_ + cpu_ns_of(child_.pid);
}

}  // namespace memwhy::files
