// SPDX-License-Identifier: Apache-2.0
// What listens, without a socket of its own: addresses, names, the channel to the agent, what a service manager is told.
#include "agent/front.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "agent/asking.h"
#include "agent/http.h"
#include "agent/notify.h"

namespace memwhy::agent {
namespace {

TEST(FrontTest, Addresses) {
  EXPECT_EQ(parse_address("127.0.0.1:9435")->host, "127.0.0.1");
  EXPECT_EQ(parse_address("127.0.0.1:9435")->port, 9435);
  EXPECT_EQ(parse_address("[::1]:80")->host, "::1");
  for (const char* text :
       {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:80x"})
    EXPECT_FALSE(parse_address(text).ok()) << text;
}

TEST(FrontTest, OnlyNamesOfRecordingsLeadIntoTheFolder) {
  EXPECT_TRUE(is_recording_name("node7_shop+api_20261129T141500Z_growth.memwhy"));
  for (const char* name : {"", ".memwhy", "lock", "ring", "../x.memwhy", "a/b.memwhy", ".closing.memwhy",
                           "a\"b.memwhy", "a\\b.memwhy", "a b.memwhy", "a\nb.memwhy", "x.memwhy.tmp"})
    EXPECT_FALSE(is_recording_name(name)) << name;
  EXPECT_FALSE(is_recording_name(fmt::format("{:x>300}.memwhy", "")));
}

TEST(FrontTest, OptionsThereAndBack) {
  const FrontOptions back = decode(encode({"127.0.0.1:1", "/run/x y", "", "token"}));
  EXPECT_EQ(back.listen, "127.0.0.1:1");
  EXPECT_EQ(back.socket, "/run/x y");
  EXPECT_EQ(back.folder, "");
  EXPECT_EQ(back.token, "token");
}

TEST(ChannelTest, EachThreadHasItsOwnAnswer) {
  const ChannelPair channel = make_channel().value();
  Asking asking(channel.front);
  std::thread reader([&] { asking.run(); });
  std::thread agent([&] {  // answers in the other order
    std::vector<Question> questions;
    bool closed = false;
    while (questions.size() < 2 && !closed)
      if (const auto question = take_question(channel.agent, closed)) questions.push_back(*question);
    for (auto at = questions.rbegin(); at != questions.rend(); ++at)
      send_answer(channel.agent, {at->id, 7, 0}, std::string(1'000'000, 'x') + std::to_string(at->number));
  });
  std::array<std::string, 2> texts;
  std::thread other([&] {
    texts[0] = asking.ask({0, Ask::kTrigger, 10, 0}, std::chrono::minutes(1))->second;
  });
  texts[1] = asking.ask({0, Ask::kTrigger, 11, 0}, std::chrono::minutes(1))->second;
  other.join();
  agent.join();
  EXPECT_EQ(texts[0], fmt::format("{:x>1000000}10", ""));
  EXPECT_EQ(texts[1], fmt::format("{:x>1000000}11", ""));
  EXPECT_FALSE(asking.ask({0, Ask::kHealth, 0, 0}, std::chrono::milliseconds(1)));  // nobody answers
  ::shutdown(channel.agent.get(), SHUT_RDWR);
  reader.join();
  EXPECT_FALSE(asking.ask({0, Ask::kHealth, 0, 0}, std::chrono::minutes(1)));  // the agent is gone
}

TEST(NotifyTest, ASocketOfTheAbstractNameSpaceAndHalfOfTheWatchdog) {
  const std::string name = "memwhy-notify-" + std::to_string(::getpid());
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  const Notify notify;
  EXPECT_EQ(notify.watchdog(), std::chrono::seconds(30));
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  notify.send("READY=1");
  std::array<char, 64> buffer{};
  EXPECT_EQ(::recv(manager.get(), buffer.data(), buffer.size(), 0), 7);
  EXPECT_STREQ(buffer.data(), "READY=1");
  Notify().send("READY=1");  // nowhere
}

}  // namespace
}  // namespace memwhy::agent
