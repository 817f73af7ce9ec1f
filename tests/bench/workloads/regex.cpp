// SPDX-License-Identifier: Apache-2.0
// Input for the compiler workload: templates, so that the compiler allocates for a second or two.
#include <iostream>
#include <map>
#include <regex>
#include <string>

int main() {
  const std::regex pattern("(\\w+)=(\\d+)");
  std::map<std::string, int> values;
  for (std::string line; std::getline(std::cin, line);) {
    std::smatch match;
    if (std::regex_match(line, match, pattern)) values[match[1]] += std::stoi(match[2]);
  }
  for (const auto& [name, value] : values) std::cout << name << ' ' << value << '\n';
}
