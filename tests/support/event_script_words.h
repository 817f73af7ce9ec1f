// SPDX-License-Identifier: Apache-2.0
// Lines of an event script as words: the half of event_script that knows no event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace memwhy::testing {

// A verb with its operands, or one item of a list: taken word by word, named words (key=value) in any order.
class Words {
 public:
  Words(std::vector<std::string> words, size_t line) : words_(std::move(words)), line_(line) {}

  [[noreturn]] void fail(const std::string& why) const;
  bool empty() const { return words_.empty(); }

  std::string next(const char* what);                      // the first that is left; fails when there is none
  bool flag(std::string_view name);                        // takes the word when it is there
  std::optional<std::string> named(std::string_view key);  // takes the first "key=…"
  std::string text(std::string_view key) { return named(key).value_or(""); }
  uint64_t number(std::string_view key, uint64_t otherwise = 0);
  std::optional<uint64_t> maybe_number(std::string_view key);
  void done() const;  // fails when a word is left

  SpaceId space();
  AddressRange range();
  PageRange pages();
  StackId stack();
  StackId stack_or_none() { return empty() ? StackId::kNone : stack(); }
  BinaryId binary(const std::string& word) const;
  uint64_t to_number(std::string_view word) const;  // decimal or 0x…, with K, M, G
  TimeNs to_time(std::string_view seconds) const;

 private:
  std::vector<std::string> words_;
  size_t line_;
};

// A line with the items below or after it.
struct Sentence {
  std::optional<std::string> time;  // without '@'
  Words words;
  std::vector<Words> items;
};

std::vector<Sentence> split_script(std::string_view text);
std::vector<std::string> split(const std::string& word, char separator);  // one word: "a:b" is {a, b}

}  // namespace memwhy::testing
