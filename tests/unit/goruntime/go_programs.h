// SPDX-License-Identifier: Apache-2.0
// Go programs of tests/workloads, built by the releases that memwhy knows. A program is built once for each
// build directory; another process of the test that wants the same one waits.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "base/fd.h"

namespace memwhy::goruntime::test {

struct Release {
  int minor = 0;
  const char* toolchain = nullptr;  // of tests/workloads/go_release; nullptr: Debian's package
};

constexpr std::array kReleases = {
    Release{19, nullptr},     Release{20, "go1.20.14"}, Release{21, "go1.21.13"},
    Release{22, "go1.22.12"}, Release{23, "go1.23.12"}, Release{24, "go1.24.9"},
    Release{25, "go1.25.4"},  Release{26, "go1.26.8"},  Release{27, "go1.27.3"}};

constexpr Release release(int minor) { return kReleases[static_cast<size_t>(minor - 19)]; }

enum class Variant { kPlain, kStripped, kPie, kRace, kCgo };

struct Build {
  Release release;
  Variant variant{};
  const char* program = "go_pages";  // folder of tests/workloads
  bool pprof = false;                // with net/http/pprof
  const char* experiment = nullptr;  // GOEXPERIMENT

  std::string name() const {
    constexpr std::array kNames = {"plain", "stripped", "pie", "race", "cgo"};
    return "go1_" + std::to_string(release.minor) + "_" + kNames[static_cast<size_t>(variant)] +
           (pprof ? "_pprof" : "") + (experiment == nullptr ? "" : std::string("_") + experiment);
  }
  std::string command(const std::string& output) const {
    const bool c = variant == Variant::kCgo || variant == Variant::kRace;
    std::string out = std::string("cd '") + MEMWHY_TEST_DATA + "/workloads/" + program +
                      "' && CGO_ENABLED=" + (c ? "1" : "0") + " ../go_release ";
    if (experiment != nullptr)
      out.insert(out.find("../go_release"), std::string("GOEXPERIMENT=") + experiment + " ");
    out += std::string(release.toolchain == nullptr ? "debian" : release.toolchain) + " build";
    if (variant == Variant::kStripped) out += " -ldflags='-s -w'";
    if (variant == Variant::kPie) out += " -buildmode=pie";
    if (variant == Variant::kRace) out += " -race";
    if (pprof) out += " -tags pprof";
    return out + " -o '" + output + "' . >'" + output + ".log' 2>&1";
  }
};

inline void PrintTo(const Build& build, std::ostream* out) { *out << build.program << " " << build.name(); }

inline std::string name_of(const testing::TestParamInfo<Build>& test) { return test.param.name(); }

// Path of the program; "" when it could not be built (PATH.log says why).
inline std::string built(const Build& build) {
  const std::string folder = std::string(MEMWHY_BUILD_DIR) + "/workloads";
  ::mkdir(folder.c_str(), 0755);
  const std::string path = folder + "/" + build.program + "_" + build.name();
  const Fd lock(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) return "";
  // The Go command itself knows whether anything changed.
  if (::system(build.command(path).c_str()) != 0) return "";
  return path;
}

// A machine without a release: a failure where every release must be there, a counted skip elsewhere.
#define MEMWHY_REQUIRE_BUILT(path, build)                                                            \
  do {                                                                                               \
    if ((path).empty()) {                                                                            \
      const char* ci = std::getenv("CI");                                                            \
      if (ci != nullptr && std::string(ci) == "true") FAIL() << (build).name() << " can't be built"; \
      GTEST_SKIP() << (build).name() << " can't be built here";                                      \
    }                                                                                                \
  } while (false)

}  // namespace memwhy::goruntime::test
