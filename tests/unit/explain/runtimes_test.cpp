// SPDX-License-Identifier: Apache-2.0
// Files of runtimes, as the kernel names them, and files that only begin like them.
#include "explain/runtimes.h"

#include <gtest/gtest.h>

#include "explain/code_names.h"

namespace memwhy::explain {
namespace {

TEST(Runtimes, ByTheNameOfTheFile) {
  for (const char* path :
       {"/usr/lib/jvm/lib/server/libjvm.so", "/usr/lib/x86_64-linux-gnu/libnode.so.115",
        "/usr/local/bin/node", "/usr/bin/deno", "/usr/lib/libruby-3.1.so.3.1.2", "/opt/ruby/bin/ruby",
        "/usr/lib/erlang/erts-13.1.5/bin/beam.smp", "/usr/bin/sbcl"}) {
    const UnreadRuntime* const found = unread_runtime(path);
    ASSERT_NE(found, nullptr) << path;
    EXPECT_TRUE(found->collects && found->makes_code) << path;
  }
  for (const char* path : {"/usr/lib/libgc.so.1.5.1", "/usr/lib/R/lib/libR.so", "/usr/bin/ocamlrun"}) {
    const UnreadRuntime* const found = unread_runtime(path);
    ASSERT_NE(found, nullptr) << path;
    EXPECT_TRUE(found->collects && !found->makes_code) << path;
  }
  for (const char* path : {"", "/usr/lib/libgcc_s.so.1", "/usr/lib/libgcrypt.so.20", "/usr/bin/node_exporter",
                           "/srv/node/server", "/usr/lib/libc.so.6", "[heap]"})
    EXPECT_EQ(unread_runtime(path), nullptr) << path;
  EXPECT_FALSE(unread_runtime("/usr/lib/php/20220829/opcache.so")->collects);
}

events::Vma mapped(const std::string& name) {
  events::Vma vma;
  vma.name = name;
  return vma;
}

// An update replaces the file of a program that runs; an engine inside of another runtime is not the one.
TEST(Runtimes, TheMakerOfCode) {
  EXPECT_EQ(maker_of_code({mapped("/usr/bin/node (deleted)")}), "node");
  EXPECT_EQ(maker_of_code({mapped("/opt/libluajit-5.1.so.2"), mapped("/opt/libjvm.so")}), "libjvm.so");
  EXPECT_EQ(maker_of_code({mapped("/usr/bin/node_exporter"), mapped("")}), "");
}

}  // namespace
}  // namespace memwhy::explain
