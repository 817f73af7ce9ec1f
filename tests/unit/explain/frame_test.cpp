// SPDX-License-Identifier: Apache-2.0
// Frames: whose code one is, which of a stack is told, and its text.
#include "explain/frame.h"

#include <gtest/gtest.h>

#include "explain/functions.h"

namespace memwhy::explain {
namespace {

FrameKind go(std::string_view name) { return kind_of_frame({name, "x.go", true}, "server"); }
FrameKind c(std::string_view name, std::string_view module = "server") {
  return kind_of_frame({name, "", false}, module);
}

// Who wants the memory is their caller; whose name only sounds alike, or is of C++ or Go, speaks for itself.
TEST(FrameKind, WrappersOfMallocActForTheirCaller) {
  for (const char* name :
       {"Perl_safesysmalloc", "g_malloc0", "xrealloc", "ngx_palloc", "TclpAlloc", "MemoryContextAlloc",
        "caml_alloc_shr_aux_malloc", "PyMem_RawCalloc", "xstrdup", "g_memdup2"})
    EXPECT_EQ(c(name), FrameKind::kLibrary) << name;
  for (const char* name :
       {"allocate_sessions", "cache_allocator_run", "deallocate", "Pool::alloc(unsigned long)"})
    EXPECT_EQ(c(name), FrameKind::kProgram) << name;
  EXPECT_EQ(c("malloc"), FrameKind::kAllocator);
  EXPECT_EQ(go("main.alloc"), FrameKind::kProgram);
}

TEST(FrameKind, Go) {
  EXPECT_EQ(go("main.(*job).load"), FrameKind::kProgram);
  EXPECT_EQ(go("example.com/cache.(*Cache).Put"), FrameKind::kProgram);
  EXPECT_EQ(go("runtime.gopark"), FrameKind::kRuntime);
  EXPECT_EQ(go("internal/runtime/maps.NewTable"), FrameKind::kRuntime);
  EXPECT_EQ(go("runtime.mallocgcLarge"), FrameKind::kAllocator);
  for (const char* name : {"sync.(*Mutex).Lock", "io.ReadAll", "internal/poll.(*FD).Read", "net.(*conn).Read",
                           "runtime/pprof.writeHeap", "crypto/tls.(*Conn).Read", "sync/atomic.AddInt64"})
    EXPECT_EQ(go(name), FrameKind::kLibrary) << name;
  EXPECT_EQ(go("network.Dial"), FrameKind::kProgram) << "not package net";
  EXPECT_EQ(kind_of_frame({"__tsan_func_enter", "", true}, "server"), FrameKind::kRace);
  // What cgo makes of a call: the Go function that calls is the one to act on.
  EXPECT_EQ(go("manual._Cfunc_calloc"), FrameKind::kLibrary);
  EXPECT_EQ(kind_of_frame({"_cgo_05f2c46d1791_Cfunc_calloc", "", true}, "server"), FrameKind::kLibrary);
}

TEST(FrameKind, C) {
  EXPECT_EQ(c("work"), FrameKind::kProgram);
  EXPECT_EQ(c("_int_malloc", "libc.so.6"), FrameKind::kAllocator);
  EXPECT_EQ(c("operator new(unsigned long)", "libstdc++.so.6"), FrameKind::kAllocator);
  EXPECT_EQ(c("__memset_avx2_unaligned", "libc.so.6"), FrameKind::kLibc);
  EXPECT_EQ(c("getenv", "libc.so.6"), FrameKind::kLibc);
  EXPECT_EQ(c("mmap"), FrameKind::kLibc) << "linked in";
  EXPECT_EQ(c("", "libc.so.6"), FrameKind::kLibc);
  EXPECT_EQ(c("", "libfoo.so"), FrameKind::kUnknown);
  EXPECT_EQ(c("__vdso_clock_gettime", "[vdso]"), FrameKind::kKernel);
}

// Containers act for their owner; what only looks like one does not.
TEST(FrameKind, StandardLibraries) {
  for (const char* name :
       {"std::vector<int, std::allocator<int> >::push_back(int&&)",
        "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int*, int&&)",
        "__gnu_cxx::new_allocator<char>::allocate(unsigned long, void const*)", "std::thread::join()",
        "alloc::raw_vec::finish_grow", "core::ptr::drop_in_place",
        "hashbrown::raw::RawTable<T,A>::reserve_rehash",
        "<alloc::vec::Vec<T,A> as core::iter::traits::collect::Extend<T>>::extend",
        "<&mut core::slice::Iter<T> as core::iter::Iterator>::next", "std::rt::lang_start"})
    EXPECT_EQ(c(name), FrameKind::kLibrary) << name;
  for (const char* name : {"std::vector<int, std::allocator<int> > app::make<int>(int)",
                           "app::std::fill(int)", "core::Engine::tick(int)", "alloc(unsigned long)",
                           "<app::Cache as core::ops::Drop>::drop", "app::alloc::grow", "standard::f(int)"})
    EXPECT_EQ(c(name), FrameKind::kProgram) << name;
}

Frame frame(std::string function, FrameKind kind) {
  Frame out;
  out.address = 1;
  out.function = std::move(function);
  out.kind = kind;
  return out;
}

TEST(ProgramFrame, TheProgramsOwnThenALibraryThenNone) {
  const Frame runtime = frame("runtime.gopark", FrameKind::kRuntime),
              net = frame("net.Read", FrameKind::kLibrary), own = frame("main.serve", FrameKind::kProgram),
              main = frame("main.main", FrameKind::kProgram);
  EXPECT_EQ(program_frame({runtime, net, own, main}), own);
  EXPECT_EQ(program_frame({runtime, net}), net);
  EXPECT_FALSE(program_frame({runtime}).known());
  EXPECT_FALSE(program_frame({}).known());
  EXPECT_EQ(program_frame({runtime, frame("", FrameKind::kUnknown), own}).function, "")
      << "it may be the program's";
}

TEST(WithoutRuntime, OnlyAtTheLeaf) {
  const Frame malloc = frame("runtime.mallocgc", FrameKind::kAllocator),
              own = frame("main.f", FrameKind::kProgram), exit = frame("runtime.goexit", FrameKind::kRuntime);
  EXPECT_EQ(without_runtime({malloc, own, exit}), (std::vector<Frame>{own, exit}));
  EXPECT_EQ(without_runtime({malloc, exit}), (std::vector<Frame>{malloc, exit}));
}

TEST(FrameText, ByWhatIsKnown) {
  Frame out;
  EXPECT_EQ(text_of(out, FrameText::kWhole), "");
  out.address = 0x7f1000;
  out.offset = 0x98;
  EXPECT_EQ(text_of(out, FrameText::kWhole), "?+0x98");
  EXPECT_EQ(text_of(out, FrameText::kShort), "0x7f1000");
  out.module = "libc.so.6";
  EXPECT_EQ(text_of(out, FrameText::kNoPath), "libc.so.6+0x98");
  out.function = "malloc";
  EXPECT_EQ(text_of(out, FrameText::kWhole), "malloc (libc.so.6)");
  EXPECT_EQ(text_of(out, FrameText::kShort), "malloc");
  out.file = "/src/malloc.c";
  out.line = 7;
  EXPECT_EQ(text_of(out, FrameText::kWhole), "malloc (/src/malloc.c:7)");
  EXPECT_EQ(text_of(out, FrameText::kNoPath), "malloc (malloc.c:7)");
  EXPECT_EQ(text_of(out, FrameText::kShort), "malloc (malloc.c:7)");
}

TEST(SamePlace, IsWhatAReaderSees) {
  Frame a = frame("f", FrameKind::kProgram), b = a;
  a.file = b.file = "f.c";
  b.address = 2;
  EXPECT_TRUE(same_place(a, b)) << "two addresses of one line";
  b.line = 2;
  EXPECT_FALSE(same_place(a, b));
  a.function = b.function = a.file = b.file = "";
  a.module = b.module = "m.so";
  a.offset = b.offset = 7;
  EXPECT_TRUE(same_place(a, b));
  b.offset = 8;
  EXPECT_FALSE(same_place(a, b));
  EXPECT_TRUE(place_before(a, b) != place_before(b, a));
}

// Of a stripped program Go's functions have names, and the C code that they call has none.
TEST(TellingFrame, OfCCodeWithoutANameIsTheGoFunctionThatCalledIt) {
  const Frame decode = frame("local function after crosscall2+0x19f20", FrameKind::kProgram),
              call = frame("runtime.asmcgocall", FrameKind::kRuntime),
              cgo = frame("runtime.cgocall", FrameKind::kRuntime),
              stub = frame("main._Cfunc_decode", FrameKind::kLibrary),
              caller = frame("main.thumbnail", FrameKind::kProgram);
  EXPECT_EQ(telling_frame({frame("memset", FrameKind::kLibc), decode, call, cgo, stub, caller}).function,
            "main.thumbnail");
  EXPECT_EQ(telling_frame({frame("", FrameKind::kUnknown), call, cgo, stub, caller}).function,
            "main.thumbnail");
  EXPECT_EQ(telling_frame({frame("decode", FrameKind::kProgram), call, cgo, stub, caller}).function,
            "decode");
  EXPECT_EQ(telling_frame({decode, frame("main", FrameKind::kProgram)}).function, decode.function);
}

}  // namespace
}  // namespace memwhy::explain
