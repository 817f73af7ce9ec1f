// SPDX-License-Identifier: Apache-2.0
#include "app/debuginfod.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "files/spawn.h"
#include "symbols/debug_files.h"

namespace memwhy::app {
namespace {

constexpr unsigned kNobody = 65534;
constexpr std::chrono::seconds kForOne{40}, kForAll{60}, kToEnd{5};  // one: more than the 30 s of the script
constexpr size_t kMostPathBytes = 4096;

// All that the process gets from memwhy.
constexpr std::array kPassed = {"PATH",     "DEBUGINFOD_URLS", "http_proxy",  "https_proxy",
                                "no_proxy", "SSL_CERT_FILE",   "SSL_CERT_DIR"};
constexpr std::array kPassedToUsers = {"HOME", "XDG_CACHE_HOME", "DEBUGINFOD_CACHE_PATH"};

constexpr const char* kScript =
    "while read -r id; do path=$(timeout -k 1 30 debuginfod-find debuginfo \"$id\" 2>/dev/null) || path=; "
    "printf '%s\\n' \"$path\"; done; [ -z \"$FETCHED\" ] || rm -rf \"$FETCHED\"";

bool is_installed(const char* program) {
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    if (::access((std::string(folder) + '/' + program).c_str(), X_OK) == 0) return true;
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
  }
  return false;
}

// Without privileges, as util-linux does it. Another user's id is only root's to take.
std::vector<std::string> command() {
  std::vector<std::string> words = {"setpriv", "--no-new-privs"};
  if (::geteuid() == 0)
    words.insert(words.end(), {"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
                               "--bounding-set=-all"});
  words.insert(words.end(), {"sh", "-c", kScript});
  return words;
}

// `folder`: of what is fetched; "": the user's own cache.
std::vector<std::string> environment(const std::string& folder) {
  std::vector<std::string> out = {"DEBUGINFOD_TIMEOUT=10", "DEBUGINFOD_MAXTIME=30",
                                  "DEBUGINFOD_MAXSIZE=1073741824"};
  const auto pass = [&](const char* name) {
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + '=' + value);
  };
  std::for_each(kPassed.begin(), kPassed.end(), pass);
  if (folder.empty())
    std::for_each(kPassedToUsers.begin(), kPassedToUsers.end(), pass);
  else
    for (const char* name : {"FETCHED", "HOME", "DEBUGINFOD_CACHE_PATH"})
      out.push_back(std::string(name) + '=' + folder);
  return out;
}

}  // namespace

std::unique_ptr<Debuginfod> Debuginfod::if_asked() {
  const char* const urls = std::getenv("DEBUGINFOD_URLS");
  if (urls == nullptr || *urls == '\0') return nullptr;
  std::unique_ptr<Debuginfod> made(new Debuginfod());
  if (is_installed("debuginfod-find") && is_installed("setpriv"))
    made->start();
  else
    made->give_up(
        "DEBUGINFOD_URLS is set, but debuginfod-find or setpriv is not installed: no names are fetched.");
  return made;
}

void Debuginfod::start() {
  if (::geteuid() == 0) {  // nobody has no cache
    std::error_code ignored;
    std::string folder = (std::filesystem::temp_directory_path(ignored) / "memwhy-debug-XXXXXX").string();
    if (::mkdtemp(folder.data()) != nullptr) folder_ = folder;
    if (folder_.empty() || ::chown(folder_.c_str(), kNobody, kNobody) != 0)
      return give_up("There is no room for what debuginfod would fetch: no names are fetched.");
  }
  std::array<int, 2> questions{}, answers{};
  if (::pipe2(questions.data(), O_CLOEXEC) != 0) return give_up("debuginfod-find could not be started.");
  const Fd theirs(questions[0]);
  to_ = Fd(questions[1]);
  if (::pipe2(answers.data(), O_CLOEXEC) != 0) return give_up("debuginfod-find could not be started.");
  from_ = Fd(answers[0]);
  const Fd output(answers[1]);
  Result<pid_t> started = files::spawn_program(command(), environment(folder_), theirs, output);
  if (!started) return give_up("debuginfod-find could not be started.");
  pid_ = *started;
}

Debuginfod::~Debuginfod() {
  to_ = Fd();  // it ends, and takes what was fetched with it
  if (pid_ > 0) static_cast<void>(line(Clock::now() + kToEnd));
  end();
  std::error_code ignored;  // what it had no time for, or was not there to take
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void Debuginfod::end() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Debuginfod::give_up(std::string sentence) {
  end();
  notices_.push_back(std::move(sentence));
}

std::optional<std::string> Debuginfod::fetch(const std::string& build_id) {
  if (pid_ <= 0 || !symbols::is_build_id(build_id)) return std::nullopt;
  const Clock::time_point begun = Clock::now();
  const std::string question = build_id + '\n';
  const bool asked =
      ::write(to_.get(), question.data(), question.size()) == static_cast<ssize_t>(question.size());
  std::optional<std::string> path = asked ? line(begun + kForOne) : std::nullopt;
  spent_ += Clock::now() - begun;
  if (!path)
    give_up("debuginfod-find gave no answer: names of some functions were not fetched.");
  else if (spent_ > kForAll)
    give_up("debuginfod is not asked any more: it took longer than 60 s in total.");
  return path && path->starts_with('/') ? path : std::nullopt;
}

// Nothing: it ended, or not in time.
std::optional<std::string> Debuginfod::line(Clock::time_point deadline) {
  std::string text;
  while (text.size() < kMostPathBytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) break;
    pollfd one{from_.get(), POLLIN, 0};
    if (::poll(&one, 1, static_cast<int>(left)) <= 0) continue;
    char letter = 0;
    if (::read(from_.get(), &letter, 1) <= 0) break;
    if (letter == '\n') return text;
    text += letter;
  }
  return std::nullopt;
}

std::vector<std::string> Debuginfod::take_notices() { return std::exchange(notices_, {}); }

}  // namespace memwhy::app
