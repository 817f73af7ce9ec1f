// SPDX-License-Identifier: Apache-2.0
#include "unit/symbols/target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace memwhy::symbols::testing {

CommandResult run(const std::string& command) {
  CommandResult result;
  FILE* pipe = ::popen(("{ " + command + "\n} 2>&1").c_str(), "re");
  if (pipe == nullptr) return result;
  char piece[4096];
  for (size_t got; (got = std::fread(piece, 1, sizeof piece, pipe)) > 0;) result.output.append(piece, got);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

Target::Target(const std::string& path) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execl(path.c_str(), path.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  stdin_ = Fd(in[1]);
  FILE* lines = ::fdopen(out[0], "r");
  char* line = nullptr;
  size_t capacity = 0;
  bool done = false;
  for (ssize_t length; !done && (length = ::getline(&line, &capacity, lines)) > 0;) {
    std::string text(line, static_cast<size_t>(length));
    if (text.back() == '\n') text.pop_back();
    if (text == "done") {
      done = true;
    } else {
      lines_.push_back(std::move(text));
    }
  }
  ::free(line);  // NOLINT: getline allocates
  std::fclose(lines);
  if (!done) lines_.clear();
}

Target::~Target() {
  stdin_.reset();
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

std::vector<events::Vma> Target::read_vmas(Pid pid) {
  std::vector<events::Vma> vmas;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0, end = 0, offset = 0, inode = 0;
    unsigned major = 0, minor = 0;
    char flags[8] = "";
    int name_at = 0;
    std::sscanf(line.c_str(), "%lx-%lx %7s %lx %x:%x %lu %n", &start, &end, flags, &offset, &major, &minor,
                &inode, &name_at);
    events::Vma vma;
    vma.range = {start, end};
    vma.read = flags[0] == 'r';
    vma.write = flags[1] == 'w';
    vma.exec = flags[2] == 'x';
    vma.shared = flags[3] == 's';
    vma.offset = offset;
    vma.device = makedev(major, minor);
    vma.inode = inode;
    vma.name = line.substr(static_cast<size_t>(name_at));
    vmas.push_back(std::move(vma));
  }
  return vmas;
}

Fd open_proc() { return Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

std::vector<std::byte> file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::string scratch_directory(const std::string& name) {
  const ::testing::TestInfo* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string folder = std::string(test->test_suite_name()) + "." + test->name();
  std::replace(folder.begin(), folder.end(), '/', '_');
  const std::filesystem::path path = std::filesystem::path(MEMWHY_BUILD_DIR) / "test_symbols" / folder / name;
  std::filesystem::create_directories(path);
  return path.string();
}

}  // namespace memwhy::symbols::testing
