// SPDX-License-Identifier: Apache-2.0
#include "anonymize/words.h"

#include <sys/random.h>
#include <xxhash.h>

namespace memwhy::anonymize {
namespace {

constexpr std::string_view kConsonants = "bdfghjklmnprstvz";  // 16
constexpr std::string_view kVowels = "aeio";                  // 4: without u, so that fewer words are words
constexpr int kSyllables = 4;

}  // namespace

Words::Words(std::string_view key) {
  if (!key.empty())
    key_ = XXH3_64bits(key.data(), key.size());
  else if (::getrandom(&key_, sizeof key_, 0) != static_cast<ssize_t>(sizeof key_))
    key_ = 0;  // the kernel has had its random numbers for long when anything is recorded
}

uint64_t Words::hash(std::string_view text, uint64_t round) const {
  return XXH3_64bits_withSeed(text.data(), text.size(), key_ + round);
}

const std::string& Words::word(std::string_view name) {
  const auto known = words_.find(name);
  if (known != words_.end()) return known->second;
  uint64_t bits = hash(name, 0);
  std::string word;
  for (int i = 0; i < kSyllables || taken_.contains(word); ++i) {
    if (i == 10) bits = hash(name, word.size());
    word += kConsonants[bits % kConsonants.size()];
    bits /= kConsonants.size();
    word += kVowels[bits % kVowels.size()];
    bits /= kVowels.size();
  }
  taken_.insert(word);
  return words_.emplace(name, std::move(word)).first->second;
}

std::string Words::digits(std::string_view hex) const {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (uint64_t round = 0; out.size() < hex.size(); ++round) {
    uint64_t bits = hash(hex, round);
    for (int i = 0; i < 16 && out.size() < hex.size(); ++i, bits >>= 4) out += kHex[bits & 15];
  }
  return out;
}

}  // namespace memwhy::anonymize
