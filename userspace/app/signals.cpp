// SPDX-License-Identifier: Apache-2.0
#include "app/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "app/privilege.h"
#include "base/fd.h"

namespace memwhy::app {
namespace {

sigset_t stop_set() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);  // nohup stays nohup
  return set;
}

}  // namespace

void ignore_write_signals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

class StopSignals::Waiter {
 public:
  Waiter(Fd signals, Fd quit, sigset_t set)
      : signals_(std::move(signals)), quit_(std::move(quit)), set_(set), thread_([this] { run(); }) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    const uint64_t one = 1;
    while (::write(quit_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }

  bool wait(std::chrono::nanoseconds timeout) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, timeout, [this] { return stopped_; });
    return stopped_;
  }

 private:
  void run() {
    static_cast<void>(keep_only(0));  // it needs none
    pollfd ready[2] = {{signals_.get(), POLLIN, 0}, {quit_.get(), POLLIN, 0}};
    while (true) {
      if (::poll(ready, 2, -1) < 0) continue;
      if (ready[1].revents != 0) return;
      signalfd_siginfo info{};
      if (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) break;
    }
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    came_.notify_all();
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);  // the next one takes its default action here
    pollfd quit{quit_.get(), POLLIN, 0};
    while (::poll(&quit, 1, -1) < 0) {
    }
  }

  Fd signals_, quit_;
  const sigset_t set_;
  std::mutex mutex_;
  std::condition_variable came_;
  bool stopped_ = false;
  std::thread thread_;
};

StopSignals::StopSignals(std::unique_ptr<Waiter> waiter, sigset_t before)
    : waiter_(std::move(waiter)), before_(before) {}

StopSignals::StopSignals(StopSignals&&) noexcept = default;

Result<StopSignals> StopSignals::take() {
  const sigset_t set = stop_set();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &set, &before);
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  int err = signals ? 0 : errno;
  Fd quit(::eventfd(0, EFD_CLOEXEC));
  if (!quit && err == 0) err = errno;
  if (err == 0) {
    try {
      return StopSignals(std::make_unique<Waiter>(std::move(signals), std::move(quit), set), before);
    } catch (const std::system_error& error) {
      err = error.code().value();
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return errno_error(ErrorCode::kEnvironment, "waiting for signals", err);
}

StopSignals::~StopSignals() {
  if (!waiter_) return;
  waiter_.reset();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool StopSignals::wait(std::chrono::nanoseconds timeout) { return waiter_->wait(timeout); }

bool StopSignals::stopped() const { return waiter_->wait({}); }

void StopSignals::restore_in_child() const {
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace memwhy::app
