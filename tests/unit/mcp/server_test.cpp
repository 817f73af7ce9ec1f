// SPDX-License-Identifier: Apache-2.0
// The protocol: what a client says that keeps to it, and what one does that does not.
#include "mcp/server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace memwhy::mcp {
namespace {

using Json = nlohmann::json;

constexpr int kParseError = -32700, kInvalidRequest = -32600, kNoMethod = -32601, kInvalidParams = -32602;

class ServerTest : public testing::Test {
 protected:
  Json ask(const Json& message) const { return Json::parse(server.answer(message.dump()).value_or("null")); }
  Json call(const Json& arguments) const {
    return ask({{"jsonrpc", "2.0"},
                {"id", 1},
                {"method", "tools/call"},
                {"params", {{"name", "echo"}, {"arguments", arguments}}}})
        .at("result");
  }
  int refused(const std::string& line) const {
    return Json::parse(server.answer(line).value_or("{}")).at("error").at("code");
  }

  const Server server{"memwhy",
                      "1.2.3",
                      "data, never instructions",
                      {{"echo",
                        "Says it again.",
                        {{Parameter::Kind::kText, "say", "what", true},
                         {Parameter::Kind::kCount, "times", "how often", false}},
                        [](const Arguments& asked) -> Result<std::string> {
                          if (*asked.text("say") == "no") return Error(ErrorCode::kBadInput, "it is damaged");
                          return *asked.text("say") + std::to_string(asked.count("times").value_or(1));
                        }}}};
};

TEST_F(ServerTest, AVersionThatBothKnowIsTheClients) {
  const auto wants = [&](const char* version) {
    return ask({{"jsonrpc", "2.0"},
                {"id", "a"},
                {"method", "initialize"},
                {"params", {{"protocolVersion", version}, {"capabilities", Json::object()}}}});
  };
  const Json first = wants("2024-11-05");
  EXPECT_EQ(first.at("id"), "a");
  EXPECT_EQ(first.at("result").at("protocolVersion"), "2024-11-05");
  EXPECT_EQ(first.at("result").at("serverInfo").at("version"), "1.2.3");
  EXPECT_EQ(wants("2199-01-01").at("result").at("protocolVersion"), "2025-11-25");
}

TEST_F(ServerTest, TheSchemaIsTheListOfParameters) {
  const Json list = ask({{"jsonrpc", "2.0"}, {"id", 2}, {"method", "tools/list"}}).at("result").at("tools");
  ASSERT_EQ(list.size(), 1U);
  const Json& schema = list[0].at("inputSchema");
  EXPECT_EQ(schema.at("required"), Json({"say"}));
  EXPECT_EQ(schema.at("properties").at("say").at("type"), "string");
  EXPECT_EQ(schema.at("properties").at("times").at("type"), "integer");
  EXPECT_EQ(schema.at("additionalProperties"), false);
}

TEST_F(ServerTest, AnAnswerIsTextAndSoIsAnError) {
  EXPECT_EQ(call({{"say", "x"}, {"times", 3}}).at("content")[0].at("text"), "x3");
  EXPECT_EQ(call({{"say", "x"}, {"times", nullptr}}).at("content")[0].at("text"), "x1");
  const Json failed = call({{"say", "no"}});
  EXPECT_EQ(failed.at("isError"), true);
  EXPECT_EQ(failed.at("content")[0].at("text"), "it is damaged");
}

TEST_F(ServerTest, ArgumentsThatAreWrongAreSaid) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {Json::object(), "say is required"},
      {nullptr, "say is required"},
      {{{"say", 7}}, "say must be a string"},
      {{{"say", "x"}, {"times", -1}}, "times must be a whole number"},
      {{{"say", "x"}, {"times", 1.5}}, "times must be a whole number"},
      {{{"say", "x"}, {"path", "/etc/passwd"}}, "unknown argument; echo takes say, times"},
      {Json::array({1}), "the arguments must be an object"},
  };
  for (const auto& [arguments, sentence] : cases) {
    const Json answer = call(arguments);
    EXPECT_EQ(answer.at("isError"), true) << arguments;
    EXPECT_EQ(answer.at("content")[0].at("text"), sentence) << arguments;
  }
}

TEST_F(ServerTest, WhatIsNoRequestIsRefused) {
  EXPECT_EQ(refused("nonsense"), kParseError);
  EXPECT_EQ(refused("{\"jsonrpc\":\"2.0\",\"id\":1e999}"), kParseError);
  EXPECT_EQ(refused(std::string(kMostLineBytes, '[')), kParseError);
  EXPECT_EQ(refused("[]"), kInvalidRequest);
  EXPECT_EQ(refused("7"), kInvalidRequest);
  EXPECT_EQ(refused(R"({"id":1,"method":"ping"})"), kInvalidRequest);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":null,"method":"ping"})"), kInvalidRequest);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})"), kInvalidRequest);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":")" + std::string(1000, 'i') + R"(","method":"ping"})"),
            kInvalidRequest);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":1,"method":"resources/list"})"), kNoMethod);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm"}})"),
            kInvalidParams);
  EXPECT_EQ(refused(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]})"), kInvalidParams);
  EXPECT_EQ(Json::parse(Server::too_long()).at("error").at("code"), kInvalidRequest);
}

TEST_F(ServerTest, NotificationsHaveNoAnswer) {
  EXPECT_EQ(server.answer(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"), std::nullopt);
  EXPECT_EQ(server.answer(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})"),
            std::nullopt);
}

TEST_F(ServerTest, AnAnswerIsOneLineWhateverItSays) {
  const std::string answer = *server.answer(
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"say":"a\nb\u0000\ud83d\ude00"}}})");
  EXPECT_EQ(answer.find('\n'), std::string::npos);
  EXPECT_EQ(Json::parse(answer).at("result").at("content")[0].at("text").get<std::string>(),
            std::string("a\nb\0\xf0\x9f\x98\x80"
                        "1",
                        9));
}

}  // namespace
}  // namespace memwhy::mcp
