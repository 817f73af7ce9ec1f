// SPDX-License-Identifier: Apache-2.0
#include "mcp/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace memwhy::mcp {
namespace {

using Json = nlohmann::ordered_json;

// Of the protocol, oldest first. 2025-03-26 has batches, which the next one removed again.
constexpr std::array<std::string_view, 3> kVersions = {"2024-11-05", "2025-06-18", "2025-11-25"};
constexpr size_t kMostIdBytes = 256;

// JSON-RPC 2.0, section 5.1.
enum Code : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kNoMethod = -32601,
  kInvalidParams = -32602
};

std::string line_of(const Json& message) {
  return message.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string failed(const Json& id, Code code, const std::string& sentence) {
  return line_of({{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", sentence}}}});
}

std::string done(const Json& id, const Json& result) {
  return line_of({{"jsonrpc", "2.0"}, {"id", id}, {"result", result}});
}

bool is_id(const Json& id) {
  return id.is_number_integer() ||
         (id.is_string() && id.get_ref<const std::string&>().size() <= kMostIdBytes);
}

// The member of an object; null when there is none.
const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

std::string text_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : "";
}

Json schema_of(const Tool& tool) {
  Json properties = Json::object(), required = Json::array();
  for (const Parameter& each : tool.parameters) {
    properties[each.name] = {{"type", each.kind == Parameter::Kind::kText ? "string" : "integer"},
                             {"description", each.description}};
    if (each.kind == Parameter::Kind::kCount) properties[each.name]["minimum"] = 0;
    if (each.required) required.push_back(each.name);
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json list_of(const std::vector<Tool>& tools) {
  Json out = Json::array();
  for (const Tool& tool : tools)
    out.push_back({{"name", tool.name},
                   {"description", tool.description},
                   {"inputSchema", schema_of(tool)},
                   {"annotations", {{"readOnlyHint", true}, {"openWorldHint", false}}}});
  return {{"tools", std::move(out)}};
}

Json said(const std::string& text, bool is_error) {
  return {{"content", Json::array({{{"type", "text"}, {"text", text}}})}, {"isError", is_error}};
}

template <typename Map>
auto found_in(const Map& map, std::string_view name) -> std::optional<typename Map::mapped_type> {
  const auto found = map.find(name);
  if (found == map.end()) return std::nullopt;
  return found->second;
}

}  // namespace

std::optional<std::string> Arguments::text(std::string_view name) const { return found_in(texts_, name); }
std::optional<uint64_t> Arguments::count(std::string_view name) const { return found_in(counts_, name); }

// One message that has an id.
class Server::Call {
 public:
  Call(const Server& server, const Json& message)
      : server_(server), id_(message.at("id")), params_(member(message, "params")) {}

  std::string answer(const std::string& method) const {
    if (method == "initialize") return initialize();
    if (method == "ping") return done(id_, Json::object());
    if (method == "tools/list") return done(id_, list_of(server_.tools_));
    if (method == "tools/call") return call();
    return failed(id_, kNoMethod, "there is no such method");
  }

 private:
  // The client's version where it is known, else our newest: then the client decides.
  std::string initialize() const {
    const std::string wanted = text_member(params_, "protocolVersion");
    const bool known = std::find(kVersions.begin(), kVersions.end(), wanted) != kVersions.end();
    return done(id_, {{"protocolVersion", known ? std::string_view(wanted) : kVersions.back()},
                      {"capabilities", {{"tools", Json::object()}}},
                      {"serverInfo", {{"name", server_.name_}, {"version", server_.version_}}},
                      {"instructions", server_.instructions_}});
  }

  std::string call() const {
    const std::string name = text_member(params_, "name");
    const auto tool = std::find_if(server_.tools_.begin(), server_.tools_.end(),
                                   [&](const Tool& each) { return each.name == name; });
    if (tool == server_.tools_.end()) return failed(id_, kInvalidParams, "there is no such tool");
    const Result<Arguments> arguments = checked(*tool, member(params_, "arguments"));
    if (!arguments) return done(id_, said(arguments.error().message(), true));
    const Result<std::string> answered = tool->call(*arguments);
    return done(id_, answered ? said(*answered, false) : said(answered.error().message(), true));
  }

  static Result<Arguments> checked(const Tool& tool, const Json& given) {
    if (!given.is_null() && !given.is_object())
      return Error(ErrorCode::kUsage, "the arguments must be an object");
    size_t taken = 0;
    Arguments out;
    for (const Parameter& each : tool.parameters) {
      const Json& value = member(given, each.name.c_str());
      if (value.is_null()) {
        if (each.required) return Error(ErrorCode::kUsage, fmt::format("{} is required", each.name));
        taken += given.is_object() && given.contains(each.name) ? 1 : 0;
        continue;
      }
      ++taken;
      if (each.kind == Parameter::Kind::kText && value.is_string()) {
        out.texts_[each.name] = value.get<std::string>();
      } else if (each.kind == Parameter::Kind::kCount && value.is_number_unsigned()) {
        out.counts_[each.name] = value.get<uint64_t>();
      } else {
        return Error(ErrorCode::kUsage,
                     fmt::format("{} must be {}", each.name,
                                 each.kind == Parameter::Kind::kText ? "a string" : "a whole number"));
      }
    }
    if (given.is_object() && taken != given.size()) {
      std::string names;
      for (const Parameter& each : tool.parameters) names += (names.empty() ? "" : ", ") + each.name;
      return Error(ErrorCode::kUsage, fmt::format("unknown argument; {} takes {}", tool.name, names));
    }
    return out;
  }

  const Server& server_;
  const Json& id_;
  const Json& params_;
};

Server::Server(std::string name, std::string version, std::string instructions, std::vector<Tool> tools)
    : name_(std::move(name)),
      version_(std::move(version)),
      instructions_(std::move(instructions)),
      tools_(std::move(tools)) {}

std::optional<std::string> Server::answer(std::string_view line) const {
  const Json message = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (message.is_discarded()) return failed(nullptr, kParseError, "not JSON");
  const bool has_id = message.is_object() && message.contains("id");
  const Json id = has_id && is_id(message["id"]) ? message["id"] : Json();
  const std::string method = text_member(message, "method");
  if (text_member(message, "jsonrpc") != "2.0" || method.empty() || (has_id && id.is_null()))
    return failed(id, kInvalidRequest, "not a request of JSON-RPC 2.0");
  if (!has_id) return std::nullopt;
  return Call(*this, message).answer(method);
}

std::string Server::too_long() {
  return failed(nullptr, kInvalidRequest, fmt::format("a message has at most {} bytes", kMostLineBytes));
}

size_t bytes_in_line(std::string_view text) {
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace).size();
}

}  // namespace memwhy::mcp
