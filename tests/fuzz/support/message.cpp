// SPDX-License-Identifier: Apache-2.0
#include "fuzz/support/message.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace memwhy::fuzz {
namespace {

constexpr int kDeepest = 8;
constexpr size_t kMostRepeats = 300;

enum Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t tag = 0;
  std::string_view body;  // without a length
  uint64_t wire() const { return tag & 7; }
};

std::string_view take(std::string_view& from, size_t bytes) {
  const std::string_view head = from.substr(0, bytes);
  from.remove_prefix(head.size());
  return head;
}

// Nothing: it is none, or an empty one.
std::vector<Field> fields_of(std::string_view bytes) {
  std::vector<Field> out;
  while (!bytes.empty()) {
    Field field;
    field.tag = take_varint(bytes);
    size_t length = 0;
    if (field.tag >> 3 == 0 || field.tag >> 3 > 64) return {};
    if (field.wire() == kVarint) {
      std::string_view rest = bytes;
      take_varint(rest);
      length = bytes.size() - rest.size();
    } else if (field.wire() == kBytes) {
      length = take_varint(bytes);
    } else if (field.wire() == kFixed64 || field.wire() == kFixed32) {
      length = field.wire() == kFixed64 ? 8 : 4;
    } else {
      return {};
    }
    if (length > bytes.size()) return {};
    field.body = take(bytes, length);
    out.push_back(field);
  }
  return out;
}

void append(std::string& out, const Field& field) {
  append_varint(out, field.tag);
  if (field.wire() == kBytes) append_varint(out, field.body.size());
  out += field.body;
}

std::string to_bytes(const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields) append(out, field);
  return out;
}

// How many fields of one tag there are in a message around: what an index of a number beside them must be less than.
using Counts = std::vector<uint64_t>;

void count_fields(const std::vector<Field>& fields, Counts& counts) {
  std::map<uint64_t, uint64_t> of_tag;
  for (const Field& field : fields) ++of_tag[field.tag];
  for (const auto& [tag, count] : of_tag) counts.push_back(count);
}

uint64_t new_number(uint64_t old, const Counts& counts, Random& random) {
  if (!counts.empty() && random.one_in(4)) return counts[random.below(counts.size())] + random.below(2);
  return random.one_in(2) ? random.nasty() : random.near(old);
}

// A list of packed numbers, or text: one number is replaced, or a piece is repeated.
std::string mutate_packed(std::string_view bytes, size_t most_growth, const Counts& counts, Random& random) {
  const size_t at = random.below(bytes.size() + 1);
  std::string_view rest = bytes.substr(at);
  std::string out(bytes.substr(0, at));
  if (random.one_in(3) && !rest.empty()) {
    const std::string_view piece = rest.substr(0, 1 + random.below(std::min<size_t>(rest.size(), 12)));
    for (size_t times = random.below(random.one_in(4) ? kMostRepeats : 3); times > 0; --times)
      if (out.size() + piece.size() + rest.size() <= bytes.size() + most_growth) out += piece;
    return out += rest;
  }
  const uint64_t old = take_varint(rest);
  append_varint(out, new_number(old, counts, random));
  return out += rest;
}

std::string mutate_leaf(std::string_view bytes, size_t most_growth, const Counts& counts, Random& random) {
  return random.one_in(3) ? mutate_bytes(bytes, most_growth)
                          : mutate_packed(bytes, most_growth, counts, random);
}

std::string mutate_one(std::string_view bytes, size_t most_growth, Counts& counts, Random& random,
                       int depth) {
  std::vector<Field> fields = fields_of(bytes);
  if (fields.empty() || depth == kDeepest || random.one_in(12))
    return mutate_leaf(bytes, most_growth, counts, random);
  count_fields(fields, counts);
  const size_t at = random.below(fields.size()), other = random.below(fields.size());
  std::string made;
  switch (random.below(12)) {
    case 0:
      fields.erase(fields.begin() + static_cast<ptrdiff_t>(at));
      break;
    case 1:
      if (fields[at].body.size() + 12 <= most_growth)
        fields.insert(fields.begin() + static_cast<ptrdiff_t>(other), fields[at]);
      break;
    case 2:
      std::swap(fields[at], fields[other]);
      break;
    case 3:
      if (fields[other].body.size() <= fields[at].body.size() + most_growth)
        fields[at].body = fields[other].body;
      break;
    default:
      if (fields[at].wire() == kVarint) {
        std::string_view old = fields[at].body;
        append_varint(made, new_number(take_varint(old), counts, random));
      } else {
        made = mutate_one(fields[at].body, most_growth, counts, random, depth + 1);
        if (fields[at].wire() != kBytes) made.resize(fields[at].body.size());
      }
      fields[at].body = made;
  }
  return to_bytes(fields);
}

}  // namespace

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

uint64_t take_varint(std::string_view& from) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70 && !from.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(from.front());
    from.remove_prefix(1);
    if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  from = {};
  return 0;
}

std::string mutate_bytes(std::string_view bytes, size_t most_growth) {
  std::string out(bytes);
  out.resize(bytes.size() + std::min<size_t>(most_growth, 256));
  out.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(out.data()), bytes.size(), out.size()));
  return out;
}

std::string mutate_message(std::string_view message, size_t most_growth, Random& random) {
  Counts counts;
  return mutate_one(message, most_growth, counts, random, 0);
}

}  // namespace memwhy::fuzz
