// SPDX-License-Identifier: Apache-2.0
// C++ without frame pointers that touches memory out of the places that are hard to unwind: handlers of exceptions, what the
// standard library calls back, virtual functions, threads. For a second, then it ends.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPages = 24, kPage = 4096;

// Fresh pages each time: large enough to be mapped.
std::vector<char> touched(char with) { return std::vector<char>(kPages * kPage * 4, with); }

struct Shape {
  virtual ~Shape() = default;
  virtual size_t area(int depth) const = 0;
};
struct Square : Shape {
  size_t area(int depth) const override { return depth == 0 ? touched('s').size() : area(depth - 1) + 1; }
};

int throws(int depth) {
  const std::vector<char> kept = touched('t');
  if (depth == 0) throw std::runtime_error("thrown with " + std::to_string(kept.size()));
  return throws(depth - 1) + kept.back();
}

size_t catches(int depth) {
  try {
    return static_cast<size_t>(throws(depth));
  } catch (const std::runtime_error& error) {
    const std::vector<char> in_handler = touched('c');
    return in_handler.size() + std::string(error.what()).size();
  }
}

size_t sorts() {
  std::vector<std::string> all;
  for (int i = 0; i < 20000; ++i)
    all.push_back("a name that is longer than " + std::to_string(i * 7919 % 20000));
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  std::map<std::string, std::vector<char>> by_name;
  for (size_t i = 0; i < 200; ++i) by_name[all[i * 97]].assign(kPage * 8, 'm');
  return by_name.size();
}

size_t matches() {
  std::ostringstream text;
  for (int i = 0; i < 3000; ++i) text << "key" << i << "=value" << i * i << ";";
  const std::string whole = text.str();
  const std::regex pair("(key[0-9]+)=([a-z]+[0-9]*);");
  size_t count = 0;
  for (std::sregex_iterator at(whole.begin(), whole.end(), pair); at != std::sregex_iterator(); ++at) ++count;
  return count;
}

size_t everything(int round) {
  const std::function<size_t()> called = [round] { return touched(static_cast<char>(round)).size(); };
  const std::unique_ptr<Shape> shape = std::make_unique<Square>();
  return called() + shape->area(round % 8) + catches(round % 6) + sorts() + matches();
}

}  // namespace

int main() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  size_t sum = 0;
  for (int round = 0; round < 4 || std::chrono::steady_clock::now() < end; ++round) {
    sum += everything(round);
    std::thread([&] { sum += everything(round); }).join();
  }
  std::cout << sum << "\n";
}
