// SPDX-License-Identifier: Apache-2.0
#include "explain/functions.h"

#include <gtest/gtest.h>

namespace memwhy::explain {
namespace {

FunctionName go(std::string_view name) { return {name, "x.go", true}; }
FunctionName in_go_binary(std::string_view name) { return {name, "", true}; }
FunctionName c(std::string_view name) { return {name, "", false}; }

TEST(Functions, TouchedByTheInnermostThatIsNoHelper) {
  EXPECT_EQ(touched_by({go("runtime.memclrNoHeapPointers"), go("runtime.mallocgcLarge"), go("main.f")}),
            StackKind::kGoHeap);
  EXPECT_EQ(touched_by({go("runtime.memmove"), go("runtime.growslice")}), StackKind::kGoHeap);
  EXPECT_EQ(touched_by({go("runtime.stackpoolalloc"), go("runtime.stackalloc")}), StackKind::kGoHeap);
  // Below mallocgc, and yet no heap: tables of the runtime.
  EXPECT_EQ(
      touched_by({go("runtime.(*pageAlloc).update"), go("runtime.(*mheap).grow"), go("runtime.mallocgc")}),
      StackKind::kGoRuntime);
  EXPECT_EQ(touched_by(
                {go("runtime.memclrNoHeapPointers"), go("runtime.persistentalloc1"), go("runtime.mallocgc")}),
            StackKind::kGoRuntime);
  EXPECT_EQ(touched_by({go("main.fill"), go("runtime.mallocgc")}), StackKind::kGoUser);
  EXPECT_EQ(touched_by({c("__memset_avx2_unaligned_erms"), c("calloc"), c("main")}), StackKind::kMalloc);
  EXPECT_EQ(touched_by({c("__memset_avx2_unaligned_erms"), c("main")}), StackKind::kOther);
  EXPECT_EQ(touched_by({c("_int_malloc")}), StackKind::kMalloc);
  EXPECT_EQ(touched_by({c("")}), StackKind::kNameless);
  EXPECT_EQ(touched_by({c("local function after malloc+0x40")}), StackKind::kNameless);
  EXPECT_EQ(kind_of_frame(c("local function after malloc+0x40"), "libc.so.6"), FrameKind::kLibc);
  EXPECT_EQ(touched_by({}), StackKind::kNone);
}

TEST(Functions, RaceDetector) {
  EXPECT_EQ(touched_by({in_go_binary("__tsan::ShadowSet(__tsan::RawShadow*)")}), StackKind::kRace);
  EXPECT_EQ(touched_by({in_go_binary("__tsan_read"), go("main.f")}), StackKind::kRace);
  EXPECT_EQ(touched_by({in_go_binary("runtime/race/internal/amd64v1(.text._ZN11__sanitizer3FooEv)")}),
            StackKind::kRace);
  // memset of the race runtime without its callers, then a Go frame that the frame pointer still held.
  EXPECT_EQ(touched_by({in_go_binary("memset"), go("main.f")}), StackKind::kNative);
  EXPECT_EQ(touched_by({in_go_binary("")}), StackKind::kNative);
  EXPECT_EQ(mapped_by({in_go_binary("__sanitizer::internal_mmap(void*)")}), StackKind::kRace);
}

// A method of C++ has "::", a clone of gcc has a dot: neither is Go.
TEST(Functions, NamesInACgoBinary) {
  EXPECT_EQ(touched_by({in_go_binary("cache::Shard::put(int)")}), StackKind::kOther);
  EXPECT_EQ(touched_by({in_go_binary("fill.part.0"), go("main.f")}), StackKind::kOther);
  EXPECT_EQ(touched_by({in_go_binary("main.fill")}), StackKind::kGoUser);
}

TEST(Functions, MappedBy) {
  EXPECT_EQ(mapped_by({go("runtime.sysMmap"), go("runtime.sysReserve"), go("runtime.(*mheap).sysAlloc")}),
            StackKind::kGoHeap);
  EXPECT_EQ(mapped_by({go("runtime.mmap"), go("runtime.sysMapOS"), go("runtime.sysMap"),
                       go("runtime.(*mheap).grow")}),
            StackKind::kGoHeap);
  // The same caller allocates its index with sysAlloc.
  EXPECT_EQ(mapped_by({go("runtime.sysMmap"), go("runtime.sysAlloc"), go("runtime.(*mheap).sysAlloc")}),
            StackKind::kGoRuntime);
  EXPECT_EQ(mapped_by({go("runtime.sysMmap"), go("runtime.sysMap"), go("runtime.(*pageAlloc).sysGrow"),
                       go("runtime.(*mheap).grow")}),
            StackKind::kGoRuntime);
  EXPECT_EQ(mapped_by({c("__mmap"), c("sysmalloc_mmap.isra.0"), c("sysmalloc"), c("main")}),
            StackKind::kMalloc);
  EXPECT_EQ(mapped_by({c("mmap64@@GLIBC_2.2.5"), c("_PyObject_Arena")}), StackKind::kOther);
  EXPECT_EQ(mapped_by({c("mmap")}), StackKind::kNameless);
}

TEST(Functions, Roots) {
  for (std::string_view root :
       {"runtime.goexit", "runtime.goexit.abi0", "runtime.mstart", "_rt0_amd64_linux", "_start",
        "__libc_start_main@@GLIBC_2.34", "__libc_start_call_main", "start_thread", "clone3"}) {
    EXPECT_TRUE(is_root(c(root))) << root;
  }
  EXPECT_FALSE(is_root(c("main")));
  EXPECT_FALSE(is_root(c("")));
  EXPECT_FALSE(is_root(c("restart")));
}

}  // namespace
}  // namespace memwhy::explain
