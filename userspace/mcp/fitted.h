// SPDX-License-Identifier: Apache-2.0
// Fitted: JSON that is built piece by piece, as long as it has room in a line of the protocol.
//
//   room 100   {"pid":812}     put "comm" → fits, 76 left     put "claim" of 90 bytes → does not, and is not there
//
// Escaped text: in the line each quote of the JSON is two bytes.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "mcp/server.h"

namespace memwhy::mcp {

constexpr size_t kMostBriefBytes = size_t{64} << 10;

using Json = nlohmann::ordered_json;

class Fitted {
 public:
  // Max kMostBriefBytes, whatever was requested.
  explicit Fitted(size_t most_bytes) : left_(std::min(most_bytes, kMostBriefBytes)) {}

  Json root = Json::object();

  // Into `object`, a part of root; nullptr: it has no room. The value stays where it is until the next put.
  Json* put(Json& object, const std::string& key, Json value) {
    // 6: two quotes of two bytes each, a colon, a comma.
    if (!take(key.size() + 6 + bytes_of(value))) return nullptr;
    return &(object[key] = std::move(value));
  }
  bool append(Json& array, Json value) {
    if (!take(1 + bytes_of(value))) return false;
    array.push_back(std::move(value));
    return true;
  }
  // Room for what must follow: given back by release().
  void reserve(size_t bytes) { reserved_ = bytes; }
  void release() { reserved_ = 0; }

  std::string text() const { return text_of(root); }

 private:
  static std::string text_of(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  static size_t bytes_of(const Json& value) { return bytes_in_line(text_of(value)) - 2; }
  bool take(size_t bytes) {
    if (bytes + reserved_ > left_) return false;
    left_ -= bytes;
    return true;
  }

  size_t left_;
  size_t reserved_ = 0;
};

}  // namespace memwhy::mcp
