// SPDX-License-Identifier: Apache-2.0
#include "files/memory_child.h"

#include <sys/prctl.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "files/child.h"
#include "files/memory_wire.h"
#include "files/sandbox.h"
#include "remote/memory.h"

namespace memwhy::files {
namespace {

constexpr uint64_t kMostOpen = 16;

Outcome outcome_of(const Error& error) {
  return error.code() == ErrorCode::kTargetGone ? Outcome::kGone : Outcome::kAbsent;
}

void read_piece(remote::RemoteMemory& memory, volatile Wanted& wanted, std::span<std::byte> into) {
  if (wanted.how == How::kPresent) {
    const Result<uint64_t> there = memory.read_present(wanted.address, into);
    wanted.outcome = there ? Outcome::kDone : outcome_of(there.error());
    wanted.there = there ? *there : 0;
    return;
  }
  const How how = wanted.how;
  const Status status = how == How::kTouched ? memory.read_touched(wanted.address, into)
                        : how == How::kCode  ? memory.read_code(wanted.address, into)
                                             : memory.read(wanted.address, into);
  wanted.outcome = status ? Outcome::kDone : outcome_of(status.error());
}

// false: they are more than the window has room for.
bool read_pieces(remote::RemoteMemory& memory, Window& window, uint32_t count) {
  std::vector<remote::Piece> pieces;
  std::byte* at = window.data();
  size_t left = kWindowData;
  bool each = count > 1;
  for (uint32_t i = 0; i < count; ++i) {
    volatile Wanted& wanted = window.list()[i];
    const uint64_t bytes = wanted.bytes;
    const How how = wanted.how;
    if (bytes > left) return false;
    each = each && (how == How::kRead || how == How::kPresent);
    pieces.push_back({wanted.address, {at, bytes}, how == How::kPresent, false});
    at += bytes;
    left -= bytes;
  }
  if (!each) {
    for (uint32_t i = 0; i < count; ++i) read_piece(memory, window.list()[i], pieces[i].into);
    return true;
  }
  const Outcome otherwise = memory.read_each(pieces) ? Outcome::kAbsent : Outcome::kGone;
  for (uint32_t i = 0; i < count; ++i)
    window.list()[i].outcome = pieces[i].there ? Outcome::kDone : otherwise;
  return true;
}

}  // namespace

int run_memory_child() {
  ::prctl(PR_SET_NAME, "memwhy:memory");
  std::optional<Window> window = Window::of(Fd(kHandover));
  if (!window || !enter_sandbox(Role::kParser, kMostOpen)) return 5;
  std::optional<remote::ProcessMemory> memory;
  Fd kept_open;
  while (true) {
    uint32_t pieces = 0;
    std::vector<Fd> files;
    if (hear_pieces(kRequests, pieces, &files) != Heard::kWord) return 0;
    if (files.size() >= 2) {
      memory.emplace(remote::MemoryFiles{std::move(files[0]), std::move(files[1])});
      kept_open = files.size() > 2 ? std::move(files[2]) : Fd();
    }
    if (pieces == 0) {
      memory.reset();
      kept_open.reset();
    }
    if ((!memory && pieces > 0) || pieces > kMostPieces) return 1;
    if (pieces > 0 && !read_pieces(*memory, *window, pieces)) return 1;
    if (!send_pieces(kRequests, pieces, {})) return 0;
  }
}

}  // namespace memwhy::files
