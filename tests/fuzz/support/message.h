// SPDX-License-Identifier: Apache-2.0
// Mutations of a message of protocol buffers that need no schema: a field at any depth is changed, dropped, repeated or
// moved, and the lengths of all that is around it stay right. Not a parser to be trusted: what does not look like a message
// is taken as bytes.
//
//   { 1: 17 18 16, 3: { 1: 9, 5: { 1: … } } }   →   { 1: 17 18 16, 3: { 1: 2^63, 5: { 1: … } } }
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "fuzz/support/check.h"

namespace memwhy::fuzz {

// Grows by `most_growth` bytes at most (about: lengths around it may take a byte more each).
std::string mutate_message(std::string_view message, size_t most_growth, Random& random);

// libFuzzer's mutations on a string.
std::string mutate_bytes(std::string_view bytes, size_t most_growth);

void append_varint(std::string& out, uint64_t value);
// Takes it from the front; 0 and no more bytes: cut off.
uint64_t take_varint(std::string_view& from);

}  // namespace memwhy::fuzz
