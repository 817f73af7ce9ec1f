// SPDX-License-Identifier: Apache-2.0
// The file around the data: what was put in comes out again, nothing in it can end its block, and the policy forbids the rest.
#include "html/document.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>

#include "html/bundle.h"

namespace memwhy::html {
namespace {

std::string between(const std::string& text, const std::string& before, const std::string& behind) {
  const size_t from = text.find(before);
  if (from == std::string::npos) return "no " + before;
  const size_t start = from + before.size();
  return text.substr(start, text.find(behind, start) - start);
}

std::string from_base64(const std::string& text) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  EXPECT_EQ(text.size() % 4, 0U);
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    const size_t value = digits.find(digit);
    EXPECT_NE(value, std::string::npos) << digit;
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xff);
  }
  return out;
}

std::string inflated(const std::string& gzip, size_t size) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  std::string out(size + 1, '\0');
  std::string in = gzip;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

std::string block(const std::string& page, const std::string& id) {
  return between(page, "<script type=\"application/octet-stream\" id=\"" + id + "\">", "</script>");
}

TEST(Document, GivesBackWhatWasPutIn) {
  for (const size_t size : {0, 1, 2, 3, 4, 100, 70'000, 300'000}) {
    std::string json;
    for (size_t i = 0; i < size; ++i) json += static_cast<char>('!' + (i * i + i / 7) % 90);
    const std::string page = document({packed("answer", json), packed("moment-17", "other")});
    EXPECT_EQ(inflated(from_base64(block(page, "answer")), size), json) << size;
    EXPECT_EQ(inflated(from_base64(block(page, "moment-17")), 5), "other");
  }
}

TEST(Document, NoNameEndsItsBlock) {
  const std::string hostile = R"({"comm":"</script><img src=x onerror=alert(1)><!--"})";
  const std::string page = document({packed("answer", hostile)});
  const std::string inside = block(page, "answer");
  EXPECT_EQ(inflated(from_base64(inside), hostile.size()), hostile);
  EXPECT_EQ(page.find("onerror"), std::string::npos);
  EXPECT_TRUE(std::all_of(inside.begin(), inside.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
  }));
}

TEST(Document, SameBlocksSameFile) {
  EXPECT_EQ(document({packed("answer", "{}")}), document({packed("answer", "{}")}));
  EXPECT_NE(document({packed("answer", "{}")}), document({packed("answer", "[]")}));
}

TEST(Document, AllowsItsOwnScriptAndStyleAlone) {
  const std::string head(page_head()), tail(page_tail());
  const std::string policy = between(head, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'sha256-")) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
  EXPECT_EQ(policy.find("http"), std::string::npos) << policy;
  // One script element beside the blocks, which neither src nor import leads out of the file.
  EXPECT_EQ(head.find("<script"), std::string::npos);
  EXPECT_EQ(tail.find("<script>"), tail.rfind("<script"));
  EXPECT_EQ(between(tail, "<script>", "</script>").find("import("), std::string::npos);
  EXPECT_LT(head.size() + tail.size(), size_t{200} << 10);
}

}  // namespace
}  // namespace memwhy::html
