// SPDX-License-Identifier: Apache-2.0
// Document: the report as one HTML file, which needs nothing but a browser: no network, no other file.
//
// What it is: the page (bundle.h, built of web/) around blocks of JSON, compressed. What it is not: the content of the page
// (web/) or of the JSON (report/). What comes next: a browser.
//
//   head      <!doctype html> … <meta Content-Security-Policy "default-src 'none'; …hashes of the script and the style…">
//   block     <script type="application/octet-stream" id="answer">H4sIAAAAAAACA+1d…</script>     gzip, then base64
//   block     <script type="application/octet-stream" id="moment-0">H4sIAAAA…</script>
//   tail      <script>…</script></html>
//
// Base64 holds no markup, so that no name in a recording can end its block; and the browser runs no block, because the type
// is not that of a script.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace memwhy::html {

// A block as in the file.
struct Block {
  std::string id;    // letters, digits and dashes
  std::string text;  // base64 of gzip
};
Block packed(std::string id, std::string_view json);

// The same blocks make the same file.
std::string document(const std::vector<Block>& blocks);

}  // namespace memwhy::html
