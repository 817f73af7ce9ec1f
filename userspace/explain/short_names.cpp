// SPDX-License-Identifier: Apache-2.0
#include "explain/short_names.h"

#include <algorithm>
#include <array>

#include "events/process.h"

namespace memwhy::explain {
namespace {

constexpr std::string_view kOperator = "operator";
constexpr std::string_view kAnonymous = "(anonymous namespace)::";

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The bracket that closes text[open], or npos. Brackets of other kinds do not nest with these: "->" closes nothing.
size_t closing(std::string_view text, size_t open, char up, char down) {
  size_t depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == up) ++depth;
    if (text[i] == down && !(down == '>' && text[i - 1] == '-') && --depth == 0) return i;
  }
  return std::string_view::npos;
}

// "::h" and 16 hexadecimal digits, which Rust adds to distinguish copies; " [clone .cold]" of GCC.
std::string_view without_suffix(std::string_view name) {
  constexpr size_t kHash = 3 + 16;
  if (name.size() > kHash) {
    const std::string_view tail = name.substr(name.size() - kHash);
    if (tail.starts_with("::h") && tail.find_first_not_of("0123456789abcdef", 3) == std::string_view::npos)
      name.remove_suffix(kHash);
  }
  const size_t clone = name.find(" [clone ");
  return clone == std::string_view::npos ? name : name.substr(0, clone);
}

// The symbol after "operator": "()", "<<", "new[]". Brackets in it open nothing.
size_t operator_end(std::string_view text, size_t at) {
  static constexpr std::array<std::string_view, 12> kSymbols = {"()", "[]", "<=>", "<<=", ">>=", "->*",
                                                                "<<", ">>", "<=",  ">=",  "->",  "<"};
  for (const std::string_view symbol : kSymbols)
    if (text.substr(at).starts_with(symbol)) return at + symbol.size();
  return text.substr(at).starts_with(">") ? at + 1 : at;
}

// Rust's "<T as Trait>::f" and "<T>::f": the last word of each path.
std::string last_words(std::string_view inside) {
  const size_t as = inside.find(" as ");
  const auto last = [](std::string_view path) {
    const std::string text = short_function(path);
    const size_t bracket = std::min(text.find('<'), text.size());
    const size_t colons = text.rfind("::", bracket);
    return colons == std::string::npos ? text : text.substr(colons + 2);
  };
  if (as == std::string_view::npos) return last(inside);
  return last(inside.substr(0, as)) + " as " + last(inside.substr(as + 4));
}

class Shortener {
 public:
  explicit Shortener(std::string_view text) : text_(text) {}

  std::string run() {
    while (at_ < text_.size()) step();
    return std::move(out_);
  }

 private:
  void step() {
    const std::string_view rest = text_.substr(at_);
    const char c = rest.front();
    if (rest.starts_with(kAnonymous)) {
      at_ += kAnonymous.size();
    } else if (rest.starts_with(kOperator) && (at_ == 0 || !in_word(text_[at_ - 1]))) {
      const size_t end = operator_end(text_, at_ + kOperator.size());
      out_ += text_.substr(at_, end - at_);
      at_ = end;
    } else if (c == '<') {
      const bool leads = out_.empty();  // Rust's; C++ and Rust have a name before their arguments
      bracket('<', '>', leads ? Inside::kLastWords : Inside::kDots);
    } else if (c == '[') {
      bracket('[', ']', Inside::kDots);
    } else if (c == '(' && at_ > 0 && text_[at_ - 1] == '.') {  // Go's receiver
      bracket('(', ')', Inside::kAll);
    } else if (c == '(') {
      bracket('(', ')', Inside::kNothing);
    } else if (c == ' ') {
      space();
    } else {
      out_ += c;
      ++at_;
    }
  }

  enum class Inside : uint8_t { kDots, kLastWords, kAll, kNothing };
  void bracket(char up, char down, Inside inside) {
    const size_t end = closing(text_, at_, up, down);
    if (end == std::string_view::npos) {  // not ours to understand
      out_ += text_.substr(at_);
      at_ = text_.size();
      return;
    }
    const std::string_view between = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (inside == Inside::kNothing) return;
    out_ += up;
    if (inside == Inside::kDots) out_ += between.empty() ? "" : "...";
    if (inside == Inside::kLastWords) out_ += last_words(between);
    if (inside == Inside::kAll) out_ += between;
    out_ += down;
  }

  // Text before a space is a return type, text after the arguments is "const"; in "operator new" it is a
  // part of the name.
  void space() {
    const std::string_view rest = text_.substr(at_ + 1);
    const bool qualifies = rest.starts_with("const") || rest.starts_with("volatile") || rest.starts_with("&");
    if (out_.ends_with(kOperator)) {
      out_ += ' ';
    } else if (qualifies && !out_.empty()) {
      at_ = text_.size();
      return;
    } else if (!rest.empty() && rest.front() != '<') {
      out_.clear();
    }
    ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string out_;
};

// "gopkg.in/yaml%2ev3.unmarshal": the package without the path that leads to it, and Go's escape for its dots undone.
std::string go_package(std::string_view name) {
  const size_t end = std::min(name.find_first_of("(["), name.size());
  const size_t slash = name.substr(0, end).rfind('/');
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  std::string out(name);
  for (size_t dot = out.find("%2e"); dot != std::string::npos; dot = out.find("%2e"))
    out.replace(dot, 3, ".");
  return out;
}

constexpr size_t kLongest = 4096;  // longer names are not written for people

}  // namespace

std::string short_function(std::string_view name) {
  if (name.starts_with(events::kLocalFunction))
    return std::string(events::kLocalFunction) + short_function(name.substr(events::kLocalFunction.size()));
  name = without_suffix(name);
  if (name.size() > kLongest) return std::string(name);
  const bool go = name.find("::") == std::string_view::npos && name.find('.') != std::string_view::npos;
  std::string whole = go ? go_package(name) : std::string(name);
  std::string out = Shortener(whole).run();
  return out.empty() ? whole : out;
}

}  // namespace memwhy::explain
