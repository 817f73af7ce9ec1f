// SPDX-License-Identifier: Apache-2.0
// A memory cgroup of version 1 or 2, made for a test; whoever was in it is gone when it ends.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

namespace memwhy::kernel_test {

struct MemoryCgroup {
  std::string path, limit;  // "": none can be made here
  bool unified = false;

  MemoryCgroup() {
    for (const auto& [root, file] : {std::pair{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                     std::pair{"/sys/fs/cgroup", "memory.max"}}) {
      const std::string at = std::string(root) + "/memwhy-test-" + std::to_string(::getpid());
      if (::mkdir(at.c_str(), 0755) != 0) continue;
      if (::access((at + "/" + file).c_str(), W_OK) == 0) {
        path = at;
        limit = at + "/" + file;
        unified = std::string(file) == "memory.max";
        return;
      }
      ::rmdir(at.c_str());
    }
  }
  ~MemoryCgroup() {
    if (!path.empty()) ::rmdir(path.c_str());
  }
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;

  static void put(const std::string& file, const std::string& text) { std::ofstream(file) << text; }
  std::string name() const { return path.substr(path.rfind('/')); }  // in the hierarchy
};

}  // namespace memwhy::kernel_test
