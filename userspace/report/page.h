// SPDX-License-Identifier: Apache-2.0
// Page: text on its way to a terminal or a pipe: paragraphs of one width, optionally with colour. Not the content (text*.cpp)
// and not columns of numbers (layout.h).
//
//   Page page({.colour = true, .width = 80});
//   page.paragraph("  remedy    ", "Rebuild without -race …", Ink::kGreen);   // "remedy" is green, what follows hangs behind it
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace memwhy::report {

struct Style {
  bool colour = false;  // ANSI escape sequences; without them the text is the same
  bool unicode = true;  // bars are drawn in eighths of a cell; else of '#'
  size_t width = 80;    // columns
};

enum class Ink : uint8_t { kPlain, kBold, kDim, kRed, kGreen, kYellow };

class Page {
 public:
  explicit Page(const Style& style) : style_(style) {}

  const Style& style() const { return style_; }
  // `text` broken at spaces, the first line after `first`, the others after as many spaces. `ink` is of `first`, or of all
  // of it when `first` is blank.
  void paragraph(std::string_view first, std::string_view text, Ink ink = Ink::kPlain);
  // As it is, with a line feed.
  void line(std::string_view text, Ink ink = Ink::kPlain);
  void blank() { out_ += '\n'; }
  // A bar of `permille` of `most` columns: "█████▍" or "#####"; at least a mark for what is not nothing.
  std::string bar(uint64_t permille, size_t most) const;
  std::string painted(std::string_view text, Ink ink) const;

  std::string take() { return std::move(out_); }

 private:
  Style style_;
  std::string out_;
};

}  // namespace memwhy::report
