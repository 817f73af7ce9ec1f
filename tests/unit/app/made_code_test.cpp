// SPDX-License-Identifier: Apache-2.0
#include "app/made_code.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace memwhy::app {
namespace {

// A recorder that runs for weeks meets many JVMs, most of them for a moment.
TEST(MadeCode, JvmsThatAreGoneTakeNoRoom) {
  const Result<procfs::Root> proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  files::ChildrenOptions options;
  options.program = MEMWHY_BUILD_DIR "/bin/memwhy";
  if (::access(options.program.c_str(), X_OK) != 0) GTEST_SKIP() << "memwhy itself is not built";
  const Result<std::unique_ptr<files::Children>> files = files::Children::start(options);
  ASSERT_TRUE(files) << files.error().message();
  MadeCode code(**files, *proc);
  events::Vma library;
  library.name = "/usr/lib/jvm/lib/server/libjvm.so";
  library.inode = 7;
  library.exec = true;
  constexpr Pid kNobody = 1 << 29;  // above the most that a kernel gives
  for (Pid pid = kNobody; pid < kNobody + 200; ++pid) EXPECT_FALSE(code.rule(pid, 0x1000, {library}));
  EXPECT_TRUE(code.knows(kNobody + 199));
  EXPECT_FALSE(code.rule(::getpid(), 0x1000, {library})) << "no JVM";
  EXPECT_TRUE(code.knows(::getpid()));
}

}  // namespace
}  // namespace memwhy::app
