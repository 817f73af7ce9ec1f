// SPDX-License-Identifier: Apache-2.0
#include "files/memory_wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace memwhy::files {
namespace {

union HandedFiles {
  cmsghdr header;  // for its alignment
  char bytes[CMSG_SPACE(kMostFiles * sizeof(int))];
};

}  // namespace

std::optional<void*> Window::map(const Fd& file) {
  void* const start =
      ::mmap(nullptr, kListBytes + kWindowData, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (start == MAP_FAILED) return std::nullopt;
  return start;
}

Result<Window> Window::make() {
  Fd file(::memfd_create("memwhy", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool made = file && ::ftruncate(file.get(), kListBytes + kWindowData) == 0 &&
                    ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
  const std::optional<void*> start = made ? map(file) : std::nullopt;
  if (!start) return errno_error(ErrorCode::kEnvironment, "making memory that is shared with a child", errno);
  return Window(std::move(file), *start);
}

std::optional<Window> Window::of(Fd file) {
  const std::optional<void*> start = map(file);
  if (!start) return std::nullopt;
  return Window(std::move(file), *start);
}

Window::Window(Window&& other) noexcept
    : file_(std::move(other.file_)), start_(std::exchange(other.start_, nullptr)) {}

Window::~Window() {
  if (start_ != nullptr) ::munmap(start_, kListBytes + kWindowData);
}

bool send_pieces(int socket, uint32_t pieces, std::span<const int> files) {
  iovec word{&pieces, sizeof pieces};
  HandedFiles control{};
  msghdr message{};
  message.msg_iov = &word;
  message.msg_iovlen = 1;
  while (!files.empty() && files.back() < 0) files = files.first(files.size() - 1);
  if (!files.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* const one = CMSG_FIRSTHDR(&message);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_RIGHTS;
    one->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(one), files.data(), files.size_bytes());
  }
  ssize_t sent = -1;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof pieces);
}

Heard hear_pieces(int socket, uint32_t& pieces, std::vector<Fd>* files) {
  iovec word{&pieces, sizeof pieces};
  HandedFiles control{};
  msghdr message{};
  message.msg_iov = &word;
  message.msg_iovlen = 1;
  if (files != nullptr) {  // what was not expected is dropped by the kernel
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
  }
  ssize_t got = -1;
  do got = ::recvmsg(socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return Heard::kNothing;
  if (got != static_cast<ssize_t>(sizeof pieces)) return Heard::kGone;
  const cmsghdr* const one = files != nullptr ? CMSG_FIRSTHDR(&message) : nullptr;
  if (one == nullptr || one->cmsg_type != SCM_RIGHTS) return Heard::kWord;
  std::array<int, kMostFiles> numbers{};
  const size_t count = std::min(kMostFiles, (one->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(numbers.data(), CMSG_DATA(one), count * sizeof(int));
  for (size_t i = 0; i < count; ++i) files->emplace_back(numbers[i]);
  return Heard::kWord;
}

}  // namespace memwhy::files
