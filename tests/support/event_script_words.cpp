// SPDX-License-Identifier: Apache-2.0
#include "support/event_script_words.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>

namespace memwhy::testing {
namespace {

// Words of one line: blanks separate, quotes hold together and vanish, # starts a comment.
// ':' after a word and ',' are words of their own: they start and separate items.
std::vector<std::string> split_line(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, started = false;
  auto flush = [&] {
    if (started) words.push_back(word);
    word.clear();
    started = false;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      quoted = !quoted;
      started = true;
    } else if (quoted) {
      word += c;
    } else if (c == '#') {
      break;
    } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      flush();
    } else if (c == ',' || (c == ':' && (i + 1 == line.size() || line[i + 1] == ' '))) {
      flush();
      words.emplace_back(1, c);
    } else {
      word += c;
      started = true;
    }
  }
  flush();
  return words;
}

}  // namespace

void Words::fail(const std::string& why) const {
  std::string rest;
  for (const std::string& word : words_) rest += " " + word;
  throw std::invalid_argument("event script line " + std::to_string(line_) + ": " + why +
                              (rest.empty() ? "" : ", at:") + rest);
}

std::string Words::next(const char* what) {
  if (words_.empty()) fail(std::string("missing ") + what);
  std::string word = words_.front();
  words_.erase(words_.begin());
  return word;
}

bool Words::flag(std::string_view name) {
  const auto it = std::find(words_.begin(), words_.end(), name);
  if (it == words_.end()) return false;
  words_.erase(it);
  return true;
}

std::optional<std::string> Words::named(std::string_view key) {
  for (auto it = words_.begin(); it != words_.end(); ++it) {
    if (it->size() > key.size() && it->starts_with(key) && (*it)[key.size()] == '=') {
      std::string value = it->substr(key.size() + 1);
      words_.erase(it);
      return value;
    }
  }
  return std::nullopt;
}

uint64_t Words::number(std::string_view key, uint64_t otherwise) {
  return maybe_number(key).value_or(otherwise);
}

std::optional<uint64_t> Words::maybe_number(std::string_view key) {
  const auto value = named(key);
  if (!value) return std::nullopt;
  return to_number(*value);
}

void Words::done() const {
  if (!words_.empty()) fail("not understood");
}

uint64_t Words::to_number(std::string_view word) const {
  std::string_view digits = word;
  int base = 10;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  }
  uint64_t scale = 1;
  if (!digits.empty() && base == 10) {
    if (digits.back() == 'K') scale = uint64_t{1} << 10;
    if (digits.back() == 'M') scale = uint64_t{1} << 20;
    if (digits.back() == 'G') scale = uint64_t{1} << 30;
    if (scale != 1) digits.remove_suffix(1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc{} || end != digits.data() + digits.size())
    fail("not a number: " + std::string(word));
  return value * scale;
}

TimeNs Words::to_time(std::string_view seconds) const {
  const size_t dot = seconds.find('.');
  const TimeNs whole = to_number(seconds.substr(0, dot)) * 1'000'000'000;
  if (dot == std::string_view::npos) return whole;
  std::string fraction(seconds.substr(dot + 1));
  if (fraction.size() > 9) fail("more than nanoseconds");
  fraction.resize(9, '0');
  return whole + to_number(fraction);
}

SpaceId Words::space() { return static_cast<SpaceId>(to_number(next("space"))); }

AddressRange Words::range() {
  const std::string word = next("range");
  if (word.starts_with("0x")) {
    const size_t dash = word.find('-');
    if (dash == std::string::npos) fail("a range of bytes is 0xSTART-0xEND");
    return {to_number(word.substr(0, dash)), to_number(word.substr(dash + 1))};
  }
  const size_t plus = word.find('+');
  if (plus == std::string::npos) fail("a range is HEXPAGE+COUNT, not " + word);
  const PageNumber page = to_number("0x" + word.substr(0, plus));
  return {page << kPageShift, (page + to_number(word.substr(plus + 1))) << kPageShift};
}

PageRange Words::pages() {
  const AddressRange bytes = range();
  return {bytes.start >> kPageShift, bytes.end >> kPageShift};
}

StackId Words::stack() {
  const std::string word = next("stack");
  if (word == "-") return StackId::kNone;
  if (word == "lost") return StackId::kLost;
  if (!word.starts_with("s")) fail("a stack is sN, - or lost, not " + word);
  return static_cast<StackId>(to_number(word.substr(1)));
}

BinaryId Words::binary(const std::string& word) const {
  if (!word.starts_with("b")) fail("a binary is bN, not " + word);
  return static_cast<BinaryId>(to_number(word.substr(1)));
}

std::vector<Sentence> split_script(std::string_view text) {
  std::vector<Sentence> sentences;
  size_t line_number = 0;
  // Indentation counts from the first sentence: scripts in tests are usually raw strings that are indented
  // themselves.
  std::optional<size_t> margin;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    ++line_number;
    std::vector<std::string> words = split_line(line);
    if (words.empty()) continue;
    const size_t indent = line.find_first_not_of(" \t");
    if (!margin) margin = indent;
    const bool is_item = indent > *margin;
    std::vector<std::vector<std::string>> parts(1);
    for (std::string& word : words) {
      if (word == "," || word == ":") {
        parts.emplace_back();
      } else {
        parts.back().push_back(std::move(word));
      }
    }
    auto part = parts.begin();
    if (!is_item) {
      std::optional<std::string> time;
      if (part->front().starts_with("@")) {
        time = part->front().substr(1);
        part->erase(part->begin());
      }
      sentences.push_back({std::move(time), Words(std::move(*part), line_number), {}});
      ++part;
    } else if (sentences.empty()) {
      Words(words, line_number).fail("an item without a verb");
    }
    for (; part != parts.end(); ++part) {
      if (!part->empty()) sentences.back().items.emplace_back(std::move(*part), line_number);
    }
  }
  return sentences;
}

std::vector<std::string> split(const std::string& word, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : word) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace memwhy::testing
