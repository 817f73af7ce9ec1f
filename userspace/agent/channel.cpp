// SPDX-License-Identifier: Apache-2.0
#include "agent/channel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/content.h"

namespace memwhy::agent {
namespace {

struct Message {
  explicit Message(void* bytes, size_t size) : part{bytes, size} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  iovec part;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
};

Fd descriptor_of(msghdr& header) {
  Fd found;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(each), sizeof fd);
    found = Fd(fd);
  }
  return found;
}

Fd in_memory(std::string_view text) {
  Fd file(::memfd_create("memwhy-answer", MFD_CLOEXEC));
  for (size_t done = 0; file && done < text.size();) {
    const ssize_t put = ::write(file.get(), text.data() + done, text.size() - done);
    if (put <= 0) return {};
    done += static_cast<size_t>(put);
  }
  return file;
}

}  // namespace

Result<ChannelPair> make_channel() {
  std::array<int, 2> both{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both.data()) != 0)
    return errno_error(ErrorCode::kEnvironment, "making a socket", errno);
  return ChannelPair{Fd(both[0]), Fd(both[1])};
}

bool send_question(const Fd& channel, const Question& question) {
  return ::send(channel.get(), &question, sizeof question, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof question;
}

bool send_answer(const Fd& channel, Answer answer, std::string_view text) {
  text = text.substr(0, kLongestAnswer);
  answer.bytes = static_cast<uint32_t>(text.size());
  const Fd file = in_memory(text);
  if (!file) return false;
  Message message(&answer, sizeof answer);
  cmsghdr* const along = CMSG_FIRSTHDR(&message.header);
  along->cmsg_level = SOL_SOCKET;
  along->cmsg_type = SCM_RIGHTS;
  along->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = file.get();
  std::memcpy(CMSG_DATA(along), &fd, sizeof fd);
  return ::sendmsg(channel.get(), &message.header, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof answer;
}

std::optional<Question> take_question(const Fd& channel, bool& closed) {
  Question question;
  const ssize_t n = ::recv(channel.get(), &question, sizeof question, MSG_DONTWAIT);
  if (n == sizeof question) return question;
  closed = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  return std::nullopt;
}

std::optional<std::pair<Answer, std::string>> take_answer(const Fd& channel) {
  Answer answer;
  Message message(&answer, sizeof answer);
  ssize_t n = -1;
  do n = ::recvmsg(channel.get(), &message.header, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n != sizeof answer) return std::nullopt;
  const Fd file = descriptor_of(message.header);
  return std::pair(answer, file ? content_of(file, answer.bytes) : std::string());
}

}  // namespace memwhy::agent
