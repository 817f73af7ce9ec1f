// SPDX-License-Identifier: Apache-2.0
// How the pair of children is started and ended.
#include <utility>

#include "files/child.h"
#include "files/children.h"

namespace memwhy::files {

Result<std::unique_ptr<Children>> Children::start(ChildrenOptions options) {
  std::unique_ptr<Children> children(new Children(std::move(options)));
  if (Status started = children->start_pair(); !started) return std::move(started).error();
  // Each answers once, so that a machine where they can't run is detected now. Process 0 has no files.
  Request request;
  request.ask = Ask::kFileToProbe;
  const Result<Message> opener = children->ask(children->opener_, request, children->options_.to_parse, {});
  request.ask = Ask::kRead;
  const Result<Message> parser = children->ask(children->parser_, request, children->options_.to_parse, {});
  const bool opener_lives = opener || opener.error().code() == ErrorCode::kTargetGone;
  const bool parser_lives = parser || parser.error().code() == ErrorCode::kAbsent;
  if (!opener_lives || !parser_lives || children->pair_ != 1) {
    return Error(ErrorCode::kEnvironment,
                 "the process that opens files of targets, or the one that reads them, does not start here");
  }
  return children;
}

Children::~Children() { end_pair(); }

Status Children::start_pair() {
  dying_.reap();
  if (dying_.full())
    return Error(ErrorCode::kEnvironment, "too many processes that read files of targets hang in the kernel");
  Result<SocketPair> handover = socket_pair();
  if (!handover) return std::move(handover).error();
  Result<Child> opener = spawn(options_.program, kOpenerWord, handover->ours);
  if (!opener) return std::move(opener).error();
  opener_ = *std::move(opener);
  Result<Child> parser = spawn(options_.program, kParserWord, handover->theirs);
  if (!parser) {
    end_pair();
    return std::move(parser).error();
  }
  parser_ = *std::move(parser);
  ++pair_;
  opened_.clear();
  return {};
}

// Both: what one had handed over, the other may not have taken.
void Children::end_pair() {
  dying_.kill(opener_);
  dying_.kill(parser_);
}

}  // namespace memwhy::files
