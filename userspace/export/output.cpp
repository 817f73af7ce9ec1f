// SPDX-License-Identifier: Apache-2.0
#include "export/output.h"

namespace memwhy::exports {
namespace {

constexpr size_t kPiece = 64 << 10;

}  // namespace

void Output::put(std::string_view bytes) {
  waiting_ += bytes;
  if (waiting_.size() >= kPiece) flush();
}

void Output::flush() {
  if (status_ && !waiting_.empty()) status_ = sink_(waiting_);
  waiting_.clear();
}

Status Output::finish() {
  flush();
  return std::move(status_);
}

Gzip::Gzip(Output& into)
    : packed_(GzipStream::Effort::kUsual, [&into](std::string_view bytes) { into.put(bytes); }),
      plain_([this](std::string_view bytes) {
        packed_.put(bytes);
        return Status{};
      }) {}

void Gzip::finish() {
  const Status whole = plain_.finish();  // its sink does not fail
  if (whole) packed_.finish();
}

}  // namespace memwhy::exports
