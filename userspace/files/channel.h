// SPDX-License-Identifier: Apache-2.0
// Messages over a stream socket, each with its length in front and at most one descriptor, before a deadline. Bytes in, bytes
// out: their meaning is in messages.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "base/fd.h"
#include "base/result.h"
#include "files/wire.h"

namespace memwhy::files {

using Deadline = std::chrono::steady_clock::time_point;
constexpr Deadline kNoDeadline = Deadline::max();

struct Message {
  Bytes body;
  Fd fd;  // that came along
};

// kTargetGone: the other end is closed. kTooLate: the deadline passed.
Status send_message(int socket, std::span<const std::byte> body, const Fd* along, Deadline deadline);
// The same, and kBadInput: a message of more than `most` bytes. An unexpected descriptor is dropped by the kernel:
// to close one of a file system that does not answer would take for ever.
enum class Along : uint8_t { kNothing, kDescriptor };
Result<Message> receive_message(int socket, size_t most, Deadline deadline, Along along = Along::kNothing);

}  // namespace memwhy::files
