// SPDX-License-Identifier: Apache-2.0
// Server: the Model Context Protocol over lines, for queries of a language model. Each line is one message of JSON-RPC 2.0, and
// its answer is one line.
//
//   ► {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"explain","arguments":{"file":"web.memwhy"}}}
//   ◄ {"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"{\"rss\":…}"}],"isError":false}}
//
// What it is: the protocol, and the check of arguments against the parameters that it lists. What it is not: input and
// output, or any knowledge of recordings: a tool is a function. What comes next: resources, when clients use them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace memwhy::mcp {

constexpr size_t kMostLineBytes = size_t{1} << 20;  // of a message; a longer one is refused

struct Parameter {
  enum class Kind : uint8_t { kText, kCount } kind = Kind::kText;
  std::string name, description;
  bool required = false;
};

// Of one call: known parameters, of their kind; those that are required are there.
class Arguments {
 public:
  std::optional<std::string> text(std::string_view name) const;
  std::optional<uint64_t> count(std::string_view name) const;

 private:
  friend class Server;
  std::map<std::string, std::string, std::less<>> texts_;
  std::map<std::string, uint64_t, std::less<>> counts_;
};

struct Tool {
  std::string name, description;
  std::vector<Parameter> parameters;
  // The answer in UTF-8. An error goes to the model, which may correct its request.
  std::function<Result<std::string>(const Arguments&)> call;
};

class Server {
 public:
  // `instructions`: the model's introduction to all tools.
  Server(std::string name, std::string version, std::string instructions, std::vector<Tool> tools);

  // The answer to a message, without its newline. nullopt: a notification, which has none.
  std::optional<std::string> answer(std::string_view line) const;
  // To a line that was too long to be kept.
  static std::string too_long();

 private:
  class Call;
  std::string name_, version_, instructions_;
  std::vector<Tool> tools_;
};

// Bytes of a text within a line of the protocol.
size_t bytes_in_line(std::string_view text);

}  // namespace memwhy::mcp
