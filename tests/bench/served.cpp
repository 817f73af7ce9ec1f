// SPDX-License-Identifier: Apache-2.0
#include "served.h"

#include <fmt/format.h>

#include <iostream>
#include <sstream>
#include <utility>

namespace memwhy::bench {

namespace {

class Served : public Variant {
 public:
  Served(std::string name, Child child) : name_(std::move(name)), child_(std::move(child)) {}
  const std::string& name() const override { return name_; }
  Status on(pid_t target) override { return obeyed(child_.ask(fmt::format("on {}", target))); }
  Status off() override { return obeyed(child_.ask("off")); }
  bool learn() override {
    const Result<std::string> answer = child_.ask("learn");
    return answer && *answer == "more";
  }

 private:
  static Status obeyed(Result<std::string> answer) {
    if (!answer) return std::move(answer).error();
    return *answer == "ok" ? Status{} : Status(Error(ErrorCode::kEnvironment, *answer));
  }

  std::string name_;
  Child child_;
};

std::string said(const Status& done) { return done ? "ok" : done.error().message(); }

}  // namespace

Result<std::unique_ptr<Variant>> served_by(const std::string& text, const std::vector<int>& cpus) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return Error(ErrorCode::kUsage, text + " is not NAME=COMMAND");
  std::istringstream stream(text.substr(equals + 1));
  std::vector<std::string> command;
  for (std::string word; stream >> word;) command.push_back(word);
  if (command.empty()) return Error(ErrorCode::kUsage, text + " is not NAME=COMMAND");
  Result<Child> child =
      Child::start(command, {.cpus = cpus, .fifo = false, .before_exec = {}, .quiet = false});
  if (!child) return std::move(child).error();
  return std::unique_ptr<Variant>(std::make_unique<Served>(text.substr(0, equals), std::move(*child)));
}

Status serve(Variant& variant) {
  for (std::string order; std::cin >> order;) {
    std::string answer = "unknown order";
    if (order == "on") {
      pid_t target = 0;
      std::cin >> target;
      answer = said(variant.on(target));
    } else if (order == "off") {
      answer = said(variant.off());
    } else if (order == "learn") {
      answer = variant.learn() ? "more" : "ok";
    }
    std::cout << answer << std::endl;
  }
  return {};
}

}  // namespace memwhy::bench
