// SPDX-License-Identifier: Apache-2.0
// Numbers and strings as people read them in a sentence. Columns of a table are made in report/; what people type is read in
// app/units.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace memwhy {

std::string human_bytes(uint64_t bytes);            // "431.0 MiB", "512 B"; 1,048,575 is "1.0 MiB"
std::string grouped(uint64_t value);                // "1,048,575"
std::string_view base_name(std::string_view path);  // "/usr/lib/libc.so.6" → "libc.so.6"

// A string from outside (the name of a process, a file, a function) made harmless for a terminal: no control characters, no
// escape sequences, nothing that reorders text or hides. What was there stays visible.
//
//   "a\x1b[31mb" → "a\\x1b[31mb"      U+202E → "\\u{202e}"      invalid UTF-8 byte 0xff → "\\xff"
std::string escape(std::string_view text);
// The same within that many bytes, with "…" where it was cut.
std::string escape(std::string_view text, size_t most);

}  // namespace memwhy
