// SPDX-License-Identifier: Apache-2.0
// The front's HTTP, on a port of its own, before an agent that is made up: who is given what, and what a hostile client gets.
#include "agent/http.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "agent/front.h"
#include "agent/token.h"

namespace memwhy::agent {
namespace {

constexpr const char* kToken = "correct-horse-battery";
constexpr const char* kBasic = "Authorization: Basic YW55OmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==\r\n";  // any:kToken

sockaddr_in local(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const sockaddr* plain(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

uint16_t free_port() {
  const Fd one(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = local(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(one.get(), plain(address), size), 0);
  EXPECT_EQ(::getsockname(one.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() : channel_(make_channel().value()), asking_(channel_.front), folder_(::testing::TempDir()) {
    folder_ += "/http" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/a.memwhy") << "recorded";
    std::ofstream(folder_ + "/lock") << "4711";
    reader_ = std::thread([this] { asking_.run(); });
    agent_ = std::thread([this] { answer(); });
  }
  ~HttpTest() override {
    http_.reset();
    ::shutdown(channel_.agent.get(), SHUT_RDWR);
    agent_.join();
    reader_.join();
    std::filesystem::remove_all(folder_);
  }

  void start(std::string token, std::chrono::seconds patience = std::chrono::seconds(10)) {
    port_ = free_port();
    Result<std::unique_ptr<Http>> started =
        Http::start({fmt::format("127.0.0.1:{}", port_), folder_, std::move(token), patience}, asking_);
    ASSERT_TRUE(started.ok()) << started.error().message();
    http_ = std::move(*started);
  }
  Fd connected() const {
    Fd client(::socket(AF_INET, SOCK_STREAM, 0));
    const sockaddr_in address = local(port_);
    EXPECT_EQ(::connect(client.get(), plain(address), sizeof address), 0);
    return client;
  }
  static std::string rest(const Fd& client) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0;)
      text.append(buffer.data(), static_cast<size_t>(n));
    return text;
  }
  std::string get(const std::string& path, const std::string& headers = "",
                  const char* method = "GET") const {
    const Fd client = connected();
    const std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n{}\r\n", method, path, headers);
    EXPECT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    return rest(client);
  }
  int status(const std::string& path, const std::string& headers = "", const char* method = "GET") const {
    const std::string all = get(path, headers, method);
    EXPECT_EQ(all.find(kToken), std::string::npos) << all;
    return all.size() > 12 ? std::stoi(all.substr(9, 3)) : 0;
  }

 private:
  void answer() const {
    for (bool closed = false; !closed;) {
      pollfd ready{channel_.agent.get(), POLLIN, 0};
      ::poll(&ready, 1, -1);
      const auto question = take_question(channel_.agent, closed);
      if (!question) continue;
      const bool known = question->what != Ask::kProfile || question->unit == unit_key("shop/api");
      send_answer(channel_.agent, {question->id, known ? 0U : 4U, 0}, known ? "made up\n" : "no such unit\n");
    }
  }

  ChannelPair channel_;
  Asking asking_;
  std::string folder_;
  std::unique_ptr<Http> http_;
  std::thread reader_, agent_;
  uint16_t port_ = 0;
};

std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

TEST_F(HttpTest, RecordingsAndProfilesAreForThoseWhoHaveTheToken) {
  start(kToken);
  EXPECT_EQ(status("/metrics"), 200);
  EXPECT_EQ(status("/healthz"), 200);
  for (const char* path : {"/recordings", "/recordings/a.memwhy", "/debug/pprof/resident?unit=shop/api"}) {
    EXPECT_EQ(status(path), 401) << path;
    for (const char* wrong :
         {"correct-horse-batterx", "correct-horse-batter", "correct-horse-battery2", "", "c"})
      EXPECT_EQ(status(path, bearer(wrong)), 401) << path << " " << wrong;
    EXPECT_EQ(status(path, "Authorization: Basic !!!\r\n"), 401) << path;
    EXPECT_EQ(status(path, "Authorization: Basic YW55Ong=\r\n"), 401) << path;  // any:x
    EXPECT_EQ(status(path, bearer(kToken)), 200) << path;
    EXPECT_EQ(status(path, kBasic), 200) << path;
  }
  EXPECT_TRUE(get("/recordings/a.memwhy", kBasic).ends_with("\r\n\r\nrecorded"));
  for (const char* path :
       {"/recordings/lock", "/recordings/", "/recordings/..%2flock", "/recordingsx", "/debug/pprof"})
    EXPECT_EQ(status(path, kBasic), 404) << path;
  EXPECT_EQ(status("/recordings", kBasic, "POST"), 405);
}

TEST_F(HttpTest, WithoutATokenThereIsNeither) {
  start("");
  for (const char* path : {"/recordings", "/recordings/a.memwhy", "/debug/pprof/resident?unit=shop/api"})
    for (const std::string& header : {std::string(), bearer(""), bearer(kToken)})
      EXPECT_EQ(status(path, header), 404) << path;
  EXPECT_EQ(status("/metrics"), 200);
}

TEST_F(HttpTest, AUnitIsNamedInTheQuery) {
  start(kToken);
  EXPECT_TRUE(get("/debug/pprof/resident?unit=shop%2Fap%69", kBasic).ends_with("\r\n\r\nmade up\n"));
  EXPECT_TRUE(get("/debug/pprof/resident?unit=other", kBasic).ends_with("\r\n\r\nno such unit\n"));
  EXPECT_EQ(status("/debug/pprof/resident?unit=other", kBasic), 404);
  EXPECT_EQ(status("/debug/pprof/resident?unit=", kBasic), 404);
  EXPECT_EQ(status("/debug/pprof/resident?unit", kBasic), 400);
  EXPECT_EQ(status("/debug/pprof/resident", kBasic), 400);
}

TEST_F(HttpTest, AHeadThatNeverEndsIsEnded) {
  start(kToken, std::chrono::seconds(1));
  const Fd slow = connected();
  bool ended = false;
  for (int i = 0; i < 600 && !ended; ++i) {  // never silent for a second
    ended =
        ::send(slow.get(), i == 0 ? "GET /metrics HTTP/1.1\r\nX: " : "x", i == 0 ? 26 : 1, MSG_NOSIGNAL) < 0;
    pollfd there{slow.get(), POLLIN, 0};
    if (::poll(&there, 1, 50) > 0) ended = true;
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(rest(slow), "");
  EXPECT_EQ(status("/metrics"), 200);
}

TEST_F(HttpTest, AHeadThatIsTooLargeIsNoRequest) {
  start(kToken);
  const Fd large = connected();
  const std::string head = "GET /metrics HTTP/1.1\r\nX: " + std::string(4 * kMostMemory, 'x') + "\r\n\r\n";
  ::send(large.get(), head.data(), head.size(), MSG_NOSIGNAL);
  EXPECT_EQ(rest(large).find(" 200 "), std::string::npos);
  EXPECT_EQ(status("/metrics"), 200);
}

TEST_F(HttpTest, OneAddressHasSoManyConnections) {
  start(kToken);
  std::vector<Fd> silent;
  for (unsigned i = 0; i < kMostOfOne; ++i) silent.push_back(connected());
  EXPECT_EQ(rest(connected()), "");
  char c = 0;  // Refused, and not ended for its silence: the first one would have been so before.
  EXPECT_EQ(::recv(silent.front().get(), &c, 1, MSG_DONTWAIT), -1);
  silent.clear();
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (get("/metrics").empty()) ASSERT_LT(std::chrono::steady_clock::now(), end);
}

TEST(TokenTest, TheFirstLineOfAFileThatIsNotEverybodys) {
  const std::string path = ::testing::TempDir() + "token" + std::to_string(::getpid());
  const auto read = [&](const std::string& text, mode_t mode) {
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return read_token(path);
  };
  EXPECT_EQ(read(std::string(kToken) + "\nand a note\n", 0600).value(), kToken);
  EXPECT_EQ(read(kToken, 0640).value(), kToken);
  EXPECT_EQ(read(std::string(kLongestToken, 'x'), 0600).value().size(), kLongestToken);
  EXPECT_NE(read(kToken, 0644).error().message().find("everybody may read"), std::string::npos);
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("short"), std::string("with a space in it, long"),
        std::string(kLongestToken + 1, 'x'), std::string(20, '\0'), std::string("0123456789abcdef\r\n")})
    EXPECT_FALSE(read(text, 0600).ok()) << text;
  EXPECT_EQ(read("secret secret secret", 0600).error().message().find("secret"), std::string::npos);
  ::unlink(path.c_str());
  EXPECT_FALSE(read_token(path).ok());
  EXPECT_FALSE(read_token(::testing::TempDir()).ok());
}

TEST(TokenTest, OnlyTheSame) {
  EXPECT_TRUE(is_token(kToken, kToken));
  for (const char* other :
       {"", "c", "correct-horse-batter", "correct-horse-battery1", "Correct-horse-battery"})
    EXPECT_FALSE(is_token(other, kToken)) << other;
  EXPECT_FALSE(is_token("", ""));
  EXPECT_FALSE(is_token("aaaa", "aa"));
  EXPECT_FALSE(is_token("a", "aa"));
}

}  // namespace
}  // namespace memwhy::agent
