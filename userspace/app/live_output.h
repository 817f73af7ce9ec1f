// SPDX-License-Identifier: Apache-2.0
// Where a live recording goes: its file, and the sink of a session's events.
#pragma once

#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"
#include "record/session.h"
#include "trace/output.h"
#include "trace/writer.h"

namespace memwhy::app {

// A recording without a name ends when it has this size; in memory, with the second.
constexpr uint64_t kMostTemporaryBytes = uint64_t{1} << 30;
constexpr uint64_t kMostInMemory = uint64_t{256} << 20;

// The session's sink: the file, and the end of the recording when the file takes no more. The main thread
// ticks, so that what was seen is on disk within a second also when nothing follows; the lock is free
// otherwise.
class FileSink : public events::EventSink {
 public:
  // nullptr: there is no file.
  FileSink(trace::Writer* writer, uint64_t limit) : writer_(writer), limit_(limit) {}
  void bind(record::Session& session) { session_ = &session; }
  void on_event(const events::Event& event) override {
    if (writer_ == nullptr) return;
    const std::lock_guard lock(mutex_);
    writer_->on_event(event);
    if (writer_->failure() && session_ != nullptr) session_->request_stop("output_full");
  }
  void tick(TimeNs now) {
    if (writer_ == nullptr) return;
    const std::lock_guard lock(mutex_);
    writer_->tick(now);
    if (session_ == nullptr) return;
    if (writer_->failure()) session_->request_stop("output_full");
    if (limit_ != 0 && writer_->totals().bytes >= limit_) session_->request_stop("size");
  }
  bool wants_restate() const { return writer_ != nullptr && writer_->wants_restate(); }

 private:
  std::mutex mutex_;
  trace::Writer* const writer_;
  const uint64_t limit_;  // 0: none
  record::Session* session_ = nullptr;
};

// A file that is removed again unless there is something in it worth keeping.
class NewFile {
 public:
  static NewFile none() { return NewFile(Fd(), "", 0); }
  static Result<NewFile> create(const std::string& path) {
    if (path.empty()) {
      Result<trace::TemporaryOutput> temporary = trace::create_temporary_output();
      if (!temporary) return std::move(temporary).error();
      return NewFile(std::move(temporary->file), "",
                     temporary->in_memory ? kMostInMemory : kMostTemporaryBytes);
    }
    Result<Fd> fd = trace::create_output(path);
    if (!fd) return std::move(fd).error();
    return NewFile(std::move(*fd), path, 0);
  }
  NewFile(NewFile&& other) noexcept
      : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})), limit_(other.limit_) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Fd take() { return std::move(fd_); }
  void keep() {
    kept_ = true;
    path_.clear();
  }
  bool kept() const { return kept_; }
  uint64_t limit() const { return limit_; }  // bytes; 0: none

 private:
  NewFile(Fd fd, std::string path, uint64_t limit)
      : fd_(std::move(fd)), path_(std::move(path)), limit_(limit) {}
  Fd fd_;
  std::string path_;
  uint64_t limit_;
  bool kept_ = false;
};

}  // namespace memwhy::app
