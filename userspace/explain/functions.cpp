// SPDX-License-Identifier: Apache-2.0
#include "explain/functions.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "events/process.h"
#include "explain/short_names.h"

namespace memwhy::explain {
namespace {

bool starts(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
bool ends(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

template <size_t N>
bool starts_any(std::string_view text, const std::array<std::string_view, N>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return starts(text, p); });
}
template <size_t N>
bool is_any(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}

// "runtime.mallocgc.abi0", "clone.part.0" and "__mmap@@GLIBC_2.2.5" are the functions without their tails.
std::string_view plain(std::string_view name) {
  if (starts(name, events::kLocalFunction)) return "";  // it has none
  name = name.substr(0, name.find('@'));
  for (std::string_view tail : {".abi0", ".abiinternal"}) {
    if (ends(name, tail)) name.remove_suffix(tail.size());
  }
  for (std::string_view clone : {".part.", ".isra.", ".constprop.", ".cold"})
    name = name.substr(0, name.find(clone));
  return name;
}

bool is_race(std::string_view name) {
  return name.find("__tsan") != std::string_view::npos ||
         name.find("__sanitizer") != std::string_view::npos || starts(name, "runtime/race/internal/");
}

constexpr std::array<std::string_view, 9> kCopies = {"memset",   "memcpy",   "memmove",
                                                     "__memset", "__memcpy", "__memmove",
                                                     "__GI_mem", "__bzero",  "internal_memset"};
constexpr std::array<std::string_view, 6> kGoCopies = {
    "runtime.memclrNoHeapPointers", "runtime.memmove",         "runtime.duffzero", "runtime.duffcopy",
    "runtime/internal/atomic.",     "internal/runtime/atomic."};

// Functions whose own writes land in an object or a stack that they just got from the Go heap. Not on the
// list on purpose: persistentalloc, (*mspan).init, (*pageAlloc), spanSet, newArenaMayUnlock … which write the
// tables.
constexpr std::array<std::string_view, 16> kGoHeapTouchers = {"runtime.mallocgc",
                                                              "runtime.nextFreeFast",
                                                              "runtime.heapSetType",
                                                              "runtime.growslice",
                                                              "runtime.makeslice",
                                                              "runtime.rawbyteslice",
                                                              "runtime.rawstring",
                                                              "runtime.rawruneslice",
                                                              "runtime.(*mspan).initHeapBits",
                                                              "runtime.(*mspan).writeHeapBits",
                                                              "runtime.(*mspan).heapBitsSmall",
                                                              "runtime.stackpoolalloc",
                                                              "runtime.stackalloc",
                                                              "runtime.copystack",
                                                              "runtime.newproc1",
                                                              "runtime.gostartcall"};

constexpr std::array<std::string_view, 22> kMallocNames = {
    "malloc",         "calloc",          "realloc",     "memalign",      "posix_memalign", "aligned_alloc",
    "valloc",         "pvalloc",         "free",        "cfree",         "__libc_malloc",  "__libc_calloc",
    "__libc_realloc", "__libc_memalign", "__libc_free", "sysmalloc",     "sysmalloc_mmap", "systrim",
    "unlink_chunk",   "arena_get2",      "new_heap",    "alloc_new_heap"};
constexpr std::array<std::string_view, 20> kMallocPrefixes = {"_int_malloc",  "_int_free",
                                                              "_int_realloc", "_int_memalign",
                                                              "__malloc",     "malloc_consolidate",
                                                              "tcache_",      "ptmalloc_",
                                                              "operator new", "operator delete",
                                                              "je_",          "_rjem_",
                                                              "jemalloc",     "pages_map",
                                                              "os_pages_map", "tc_",
                                                              "tcmalloc::",   "mi_",
                                                              "_mi_",         "mremap_chunk"};

bool is_malloc(std::string_view name) {
  return is_any(name, kMallocNames) || starts_any(name, kMallocPrefixes);
}

constexpr std::array<std::string_view, 12> kMmapWrappers = {"mmap",   "mmap64",   "__mmap",  "__mmap64",
                                                            "mremap", "__mremap", "syscall", "brk",
                                                            "__brk",  "sbrk",     "__sbrk",  "__GI___sbrk"};
constexpr std::array<std::string_view, 11> kGoMmapWrappers = {"runtime.mmap",
                                                              "runtime.sysMmap",
                                                              "runtime.callCgoMmap",
                                                              "runtime.sysMap",
                                                              "runtime.sysUsed",
                                                              "runtime.sysHugePage",
                                                              "runtime.systemstack",
                                                              "runtime.asmcgocall",
                                                              "runtime/internal/syscall",
                                                              "internal/runtime/syscall",
                                                              "runtime.sysTransition"};

constexpr std::array<std::string_view, 24> kRoots = {"runtime.goexit",
                                                     "runtime.mstart",
                                                     "runtime.mstart0",
                                                     "runtime.mstart1",
                                                     "runtime.rt0_go",
                                                     "runtime.mcall",
                                                     "runtime.morestack",
                                                     "runtime.morestack_noctxt",
                                                     "_rt0_amd64",
                                                     "_rt0_amd64_linux",
                                                     "_start",
                                                     "__libc_start_main",
                                                     "__libc_start_main_impl",
                                                     "__libc_start_main_alias_1",
                                                     "__libc_start_call_main",
                                                     "clone",
                                                     "__clone",
                                                     "__clone_internal",
                                                     "clone3",
                                                     "__clone3",
                                                     "start_thread",
                                                     "thread_start",
                                                     "__start_thread",
                                                     "_dl_start_user"};

bool is_runtime(std::string_view name) {
  return starts(name, "runtime.") || starts(name, "internal/runtime/");
}

// Go packages with functions that wait or allocate on behalf of the caller.
bool on_behalf(std::string_view name) {
  constexpr std::array<std::string_view, 16> kPackages = {
      "sync.",    "time.",  "io.",   "bufio.",   "net.",     "os.",     "syscall.", "context.",
      "reflect.", "bytes.", "maps.", "strings.", "strconv.", "slices.", "fmt.",     "sync/atomic."};
  constexpr std::array<std::string_view, 4> kTrees = {"internal/", "runtime/", "crypto/",
                                                      "golang.org/x/sync/"};
  return starts_any(name, kPackages) || starts_any(name, kTrees);
}

// What cgo makes of a call of a C function: "manual._Cfunc_calloc", and in C "_cgo_05f2c46d1791_Cfunc_calloc".
bool is_cgo_glue(std::string_view name) {
  return name.find("._Cfunc_") != std::string_view::npos ||
         (starts(name, "_cgo_") && name.find("_Cfunc_") != std::string_view::npos);
}

// The standard library of C++ and of Rust: containers that act for their owner. C++ names have their arguments with them, and
// templates a type before them; Rust's crates are also C++ programs' namespaces.
bool is_standard_library(std::string_view name) {
  constexpr std::array<std::string_view, 2> kSpaces = {"std::", "__gnu_cxx::"};
  constexpr std::array<std::string_view, 4> kCrates = {"std::", "core::", "alloc::", "hashbrown::"};
  if (name.find("::") == std::string_view::npos) return false;
  if (name.find('(') != std::string_view::npos) return starts_any(short_function(name), kSpaces);
  const std::string_view path = name.substr(std::min(name.find_first_not_of("<&"), name.size()));
  return starts_any(path.substr(starts(path, "mut ") ? 4 : 0), kCrates) || starts_any(name, kSpaces);
}

// A function of C that gets memory for its caller: xmalloc, g_malloc0, Perl_safesysmalloc, ngx_palloc, TclpAlloc, strdup's kind.
bool allocates_for_caller(std::string_view name) {
  if (name.find_first_of(".:(<") != std::string_view::npos) return false;
  std::string plain_name(name.substr(0, name.find_last_not_of("0123456789_") + 1));
  std::ranges::transform(plain_name, plain_name.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 4> kParts = {"malloc", "calloc", "realloc", "strdup"};
  return ends(plain_name, "alloc") || ends(plain_name, "memdup") ||
         std::ranges::any_of(kParts, [&](auto part) { return plain_name.find(part) != std::string::npos; });
}

bool is_libc(std::string_view module) { return module.find("libc.so") != std::string_view::npos; }

StackKind native_kind(const FunctionName& frame) {
  const bool nameless = plain(frame.function).empty();
  return frame.go_binary && nameless ? StackKind::kNative
         : nameless                  ? StackKind::kNameless
                                     : StackKind::kOther;
}

}  // namespace

bool is_go(const FunctionName& frame) {
  if (!frame.go_binary) return false;
  if (ends(frame.file, ".go") || ends(frame.file, ".s")) return true;  // C's assembly is .S
  std::string_view name = plain(frame.function);
  // Go's linker names are package.function; C has no dot, and C++ demangled has "::" or a parameter list
  // first.
  return name.find('.') != std::string_view::npos && name.find("::") == std::string_view::npos &&
         !starts(name, "_Z");
}

StackKind touched_by(const std::vector<FunctionName>& frames) {
  if (frames.empty()) return StackKind::kNone;
  bool c_copy = false;
  for (const FunctionName& frame : frames) {
    std::string_view name = plain(frame.function);
    if (!is_go(frame) && starts_any(name, kCopies)) {
      c_copy = true;
      continue;
    }
    if (is_race(name)) return StackKind::kRace;
    if (is_go(frame)) {
      // Go never calls memset: frames between were not seen, and the native caller is unknown.
      if (c_copy) return StackKind::kNative;
      if (starts_any(name, kGoCopies)) continue;
      if (starts_any(name, kGoHeapTouchers)) return StackKind::kGoHeap;
      return starts(name, "runtime.") ? StackKind::kGoRuntime : StackKind::kGoUser;
    }
    if (is_malloc(name)) return StackKind::kMalloc;
    return native_kind(frame);
  }
  return frames.front().go_binary ? StackKind::kNative : StackKind::kNameless;
}

StackKind mapped_by(const std::vector<FunctionName>& frames) {
  if (frames.empty()) return StackKind::kNone;
  bool reserved = false;
  for (size_t i = 0; i < frames.size(); ++i) {
    std::string_view name = plain(frames[i].function);
    if (is_race(name)) return StackKind::kRace;
    if (is_go(frames[i])) {
      if (starts(name, "runtime.sysReserve") || starts(name, "runtime.sysMap")) {
        reserved = true;
        continue;
      }
      if (starts_any(name, kGoMmapWrappers)) continue;
      bool arena = starts(name, "runtime.(*mheap).sysAlloc") || starts(name, "runtime.(*mheap).grow") ||
                   starts(name, "runtime.(*linearAlloc).alloc");
      if (arena && reserved) return StackKind::kGoHeap;
      return starts(name, "runtime.") ? StackKind::kGoRuntime : StackKind::kGoUser;
    }
    if (is_any(name, kMmapWrappers)) continue;
    // Between mmap and malloc lie a few helpers of the allocator.
    for (size_t k = i; k < frames.size() && k < i + 6 && !is_go(frames[k]); ++k) {
      if (is_malloc(plain(frames[k].function))) return StackKind::kMalloc;
    }
    return native_kind(frames[i]);
  }
  return StackKind::kNameless;
}

FrameKind kind_of_frame(const FunctionName& frame, std::string_view module) {
  if (module == "[vdso]" || module == "[vsyscall]") return FrameKind::kKernel;
  const std::string_view name = plain(frame.function);
  if (name.empty()) return is_libc(module) ? FrameKind::kLibc : FrameKind::kUnknown;
  if (is_race(name)) return FrameKind::kRace;
  if (starts(name, "runtime.mallocgc")) return FrameKind::kAllocator;
  if (is_runtime(name)) return FrameKind::kRuntime;
  if (is_cgo_glue(name)) return FrameKind::kLibrary;
  if (is_go(frame)) return on_behalf(name) ? FrameKind::kLibrary : FrameKind::kProgram;
  if (is_malloc(name)) return FrameKind::kAllocator;
  if (is_libc(module) || starts_any(name, kCopies) || is_any(name, kMmapWrappers)) return FrameKind::kLibc;
  if (is_standard_library(name) || allocates_for_caller(name)) return FrameKind::kLibrary;
  return FrameKind::kProgram;
}

bool is_root(const FunctionName& frame) {
  std::string_view name = plain(frame.function);
  return is_any(name, kRoots) || starts(name, "_rt0_");
}

}  // namespace memwhy::explain
