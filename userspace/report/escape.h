// SPDX-License-Identifier: Apache-2.0
// Strings from outside (names of processes, files, functions) made harmless for a terminal: no control
// characters, no escape sequences, nothing that reorders text or hides. What was there stays visible.
//
//   "a\x1b[31mb" → "a\\x1b[31mb"      U+202E → "\\u{202e}"      invalid UTF-8 byte 0xff → "\\xff"
#pragma once

#include <string>
#include <string_view>

namespace memwhy::report {

std::string escape(std::string_view text);

}  // namespace memwhy::report
