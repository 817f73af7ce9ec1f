// SPDX-License-Identifier: Apache-2.0
// Output: the stream that an export is written to, in pieces of 64 KiB. An exporter need not check each write: the
// first failure is kept, later bytes are dropped, and finish() returns the failure.
//
//   Output out([&](std::string_view bytes) { return write_all(fd, bytes); });
//   exporter.write(material, out);
//   Status done = out.finish();
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/gzip.h"
#include "base/result.h"

namespace memwhy::exports {

class Output {
 public:
  using Sink = std::function<Status(std::string_view bytes)>;
  explicit Output(Sink sink) : sink_(std::move(sink)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void put(std::string_view bytes);
  Status finish();  // everything was taken, or why not; nothing may be put after it

 private:
  void flush();

  Sink sink_;
  std::string waiting_;
  Status status_;
};

// An Output that compresses what it is given into another one.
class Gzip {
 public:
  explicit Gzip(Output& into);
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  Output& out() { return plain_; }
  void finish();  // writes what is left

 private:
  GzipStream packed_;
  Output plain_;
};

}  // namespace memwhy::exports
