// SPDX-License-Identifier: Apache-2.0
#include "files/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace memwhy::files {
namespace {

union Control {
  cmsghdr header;  // for its alignment
  char bytes[CMSG_SPACE(sizeof(int))];
};

// Of these bytes, with room for a descriptor beside them if `control` is there.
msghdr described(iovec& piece, Control* control) {
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (control == nullptr) return message;
  message.msg_control = control->bytes;
  message.msg_controllen = sizeof control->bytes;
  return message;
}

Error gone() { return {ErrorCode::kTargetGone, "the other end is closed"}; }

Status wait_for(int socket, short what, Deadline deadline) {
  while (true) {
    int timeout = -1;
    if (deadline != kNoDeadline) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return Error(ErrorCode::kTooLate, "no answer in time");
      timeout = static_cast<int>(std::min<int64_t>(left.count(), 1 << 30));
    }
    pollfd poll{socket, what, 0};
    const int ready = ::poll(&poll, 1, timeout);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_error(ErrorCode::kInternal, "waiting for a child", errno);
  }
}

// Reads all of `into`; the descriptor that comes with its first byte goes to `fd`.
Status fill(int socket, std::span<std::byte> into, Fd* fd, Deadline deadline) {
  while (!into.empty()) {
    iovec piece{into.data(), into.size()};
    Control control{};
    msghdr message = described(piece, fd != nullptr ? &control : nullptr);
    const ssize_t got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return gone();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      if (Status ready = wait_for(socket, POLLIN, deadline); !ready) return ready;
      continue;
    }
    if (got < 0) return errno_error(ErrorCode::kInternal, "hearing of a child", errno);
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
      int number = -1;
      std::memcpy(&number, CMSG_DATA(one), sizeof number);
      *fd = Fd(number);
    }
    into = into.subspan(static_cast<size_t>(got));
  }
  return {};
}

}  // namespace

Status send_message(int socket, std::span<const std::byte> body, const Fd* along, Deadline deadline) {
  const auto bytes = static_cast<uint32_t>(body.size());
  Bytes out(sizeof bytes);
  std::memcpy(out.data(), &bytes, sizeof bytes);
  out.insert(out.end(), body.begin(), body.end());
  std::span<const std::byte> left = out;
  while (!left.empty()) {
    iovec piece{const_cast<std::byte*>(left.data()), left.size()};
    Control control{};
    msghdr message = described(piece, along != nullptr ? &control : nullptr);
    if (along != nullptr) {
      cmsghdr* one = CMSG_FIRSTHDR(&message);
      one->cmsg_level = SOL_SOCKET;
      one->cmsg_type = SCM_RIGHTS;
      one->cmsg_len = CMSG_LEN(sizeof(int));
      const int number = along->get();
      std::memcpy(CMSG_DATA(one), &number, sizeof number);
    }
    const ssize_t sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      if (Status ready = wait_for(socket, POLLOUT, deadline); !ready) return ready;
      continue;
    }
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return gone();
    if (sent < 0) return errno_error(ErrorCode::kInternal, "speaking to a child", errno);
    along = nullptr;  // it went with the first byte
    left = left.subspan(static_cast<size_t>(sent));
  }
  return {};
}

Result<Message> receive_message(int socket, size_t most, Deadline deadline, Along along) {
  uint32_t bytes = 0;
  Message message;
  Fd* const fd = along == Along::kDescriptor ? &message.fd : nullptr;
  if (Status head = fill(socket, std::as_writable_bytes(std::span(&bytes, 1)), fd, deadline); !head)
    return std::move(head).error();
  if (bytes > most) return Error(ErrorCode::kBadInput, "its reader gave an answer that is too long");
  message.body.resize(bytes);
  if (Status body = fill(socket, message.body, nullptr, deadline); !body) return std::move(body).error();
  return message;
}

}  // namespace memwhy::files
