// SPDX-License-Identifier: Apache-2.0
// Words: a made-up word for each name, always the same for the same name and key, and different for different names.
//
//   "billing"  ── keyed hash ──► 0x2b61… ──► "kudogila"        "4f5a9c01" ──► "91c07de2" (digits for digits)
//
// The key is random unless it is given, and is kept nowhere: the words alone reveal no name, except by guessing both name and
// key. What it is not: the choice of the names that are replaced (names.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace memwhy::anonymize {

class Words {
 public:
  // From `key`, whatever its length; "": a random one.
  explicit Words(std::string_view key);

  // Eight letters or more, consonants and vowels in turn.
  const std::string& word(std::string_view name);
  // As many hexadecimal digits, lower case.
  std::string digits(std::string_view hex) const;

 private:
  uint64_t hash(std::string_view text, uint64_t round) const;
  uint64_t key_ = 0;
  std::map<std::string, std::string, std::less<>> words_;
  std::set<std::string> taken_;
};

}  // namespace memwhy::anonymize
