// SPDX-License-Identifier: Apache-2.0
#include "heap_shapes.h"

#include "allocators/jemalloc.h"
#include "allocators/musl.h"
#include "allocators/sanitizer.h"
#include "allocators/tcmalloc.h"
#include "unit/allocators/made_groups.h"
#include "unit/allocators/made_heap.h"
#include "unit/allocators/made_php.h"
#include "unit/allocators/made_python.h"
#include "unit/allocators/made_radix.h"
#include "unit/allocators/made_v8.h"

namespace memwhy::fuzz {
namespace {

using namespace allocators;
using test::MadeHeap;

constexpr uint64_t kTls = 0x7e90'0000'0000, kTcb = kTls + 0x740, kHeaps = 0x7e00'0000'0000,
                   kMapped = 0x7e80'0000'0000, kElsewhere = 0x7d00'0000'0000;

// A thread whose cache is the first chunk, with two chunks of 64 bytes in it.
void add_thread(MadeHeap& made, uint64_t tcache, uint64_t first, uint64_t second) {
  const uint16_t count = 2;
  made.memory.put(tcache + 4, std::as_bytes(std::span(&count, 1)));
  made.memory.put_word(tcache + 128 + 16, second);
  made.memory.put_words(second, {first ^ (second >> 12), 1});
  made.memory.put_words(first, {first >> 12, 1});
  made.vmas.push_back(MadeHeap::vma({kTls, kTls + 0x3000}, ""));
  std::sort(made.vmas.begin(), made.vmas.end(),
            [](const auto& a, const auto& b) { return a.range < b.range; });
  made.memory.put_word(kTls, 0);
  made.memory.put_words(kTcb, {kTcb, 0, kTcb});
  made.memory.put_word(kTcb + kTcbTid, 4711);
  made.memory.put_word(kTcb - 0x50, tcache);
}

void some_chunks(MadeHeap& made, int times) {
  for (int i = 0; i < times; ++i) {
    made.used(1008);
    made.free(5 * kPageBytes);
    made.used(48);
    made.fast(64);
    made.free(800);
  }
  made.used(160);
}

HeapShape glibc(const char* name, MadeHeap& made) {
  made.finish();
  HeapShape out;
  out.name = name;
  out.memory = pages_of(made.memory);
  out.vmas = made.vmas;
  return out;
}

HeapShape usual(const char* name, size_t shape, size_t par) {
  MadeHeap made(kStateShapes[shape], kParLayouts[par]);
  const uint64_t tcache = made.used(0x290), first = made.used(64), second = made.used(64);
  some_chunks(made, 3);
  add_thread(made, tcache, first, second);
  return glibc(name, made);
}

HeapShape brk_refused() {
  MadeHeap made;
  some_chunks(made, 2);
  made.brk_refused(kElsewhere, 1 << 20);
  some_chunks(made, 2);
  return glibc("brk_refused", made);
}

HeapShape arenas() {
  MadeHeap made;
  some_chunks(made, 1);
  made.mapped(kMapped, 64 * kPageBytes);
  made.mapped(kMapped + 64 * kPageBytes, 33 * kPageBytes);
  for (uint64_t i = 0; i < 3; ++i) {
    made.arena(kHeaps + i * kHeapMax, 256 << 10);
    const uint64_t tcache = made.used(0x290), first = made.used(64), second = made.used(64);
    some_chunks(made, 2);
    if (i == 0) add_thread(made, tcache, first, second);
  }
  return glibc("arenas", made);
}

// Its lists are so long that the chunks are walked.
HeapShape long_lists() {
  MadeHeap made(kStateShapes[0], kParLayouts[1], 4 << 20);
  for (int i = 0; i < 600; ++i) made.used(48), made.free(4000);
  made.used(48);
  return glibc("long_lists", made);
}

HeapShape sanitizer() {
  test::MadeProcess made;
  made.map({0x7fff7000, 0x8fff7000}, "");
  made.map({0x2008fff7000, 0x10007fff8000}, "");
  made.map({0x602000000000, 0x602000010000}, "");
  for (const uint64_t page : {0x7fff8000ul, 0x7fff9000ul, 0x602000000000ul}) made.memory.put_word(page, 1);
  return block_shape<Sanitizer>("sanitizer", made);
}

HeapShape thread_stacks() {
  test::MadeProcess made;
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t guard = kElsewhere + i * 0x20000, stack = guard + 0x1000, end = guard + 0x11000;
    made.map({guard, stack}, "");
    made.map({stack, end}, "");
    const uint64_t tcb = end - 0x900;
    made.memory.put_words(tcb, {tcb, 0, tcb});
    made.memory.put_word(tcb + kTcbTid, i == 1 ? 4711 : 0);
  }
  for (size_t i = 0; i < made.vmas.size(); i += 2) made.vmas[i].read = made.vmas[i].write = false;
  HeapShape out = block_shape("thread_stacks", made);
  out.kind = HeapKind::kThreadStacks;
  return out;
}

template <typename Reader, typename Made>
HeapShape usual_of(const char* name, Made made) {
  made.usual();
  return block_shape<Reader>(name, made);
}

HeapShape python() {
  test::python::MadePython made(64);
  for (size_t i = 0; i < 4; ++i) made.arena(i, {12, 0, 48});
  return block_shape<Pymalloc>("pymalloc", made);
}

HeapShape v8() {
  test::v8::MadeV8 made;
  made.classic(0, test::v8::kPage, test::v8::kOld, 1000);
  made.recorded(1, test::v8::kPage, test::v8::kYoung, 1000);
  made.recorded(2, 3 * test::v8::kPage, test::v8::kOld, 3 * test::v8::kPage - 0x2000);
  made.with_record(3, test::v8::kPage, test::v8::kOld, 1000);
  return block_shape<V8>("v8", made);
}

}  // namespace

Pages pages_of(const remote::test::FakeMemory& memory) {
  Pages out;
  for (const PageNumber page : memory.pages()) {
    const remote::test::FakeMemory::Page bytes = memory.page(page);
    out[page] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return out;
}

HeapShape block_shape(const char* name, const test::MadeProcess& made) {
  HeapShape out;
  out.name = name;
  out.kind = HeapKind::kBlocks;
  out.memory = pages_of(made.memory);
  out.vmas = made.vmas;
  return out;
}

std::vector<HeapShape> heap_shapes() {
  std::vector<HeapShape> out = {
      usual("glibc_2.36", 0, 1),
      usual("glibc_2.27", 0, 0),
      usual("glibc_2.44", 1, 2),
      usual("glibc_2.26", 2, 0),
      brk_refused(),
      arenas(),
      long_lists(),
      usual_of<Jemalloc>("jemalloc_5.3", test::radix::MadeJemalloc(test::radix::k53)),
      usual_of<Jemalloc>("jemalloc_5.2", test::radix::MadeJemalloc(test::radix::k52)),
      usual_of<Tcmalloc>("tcmalloc", test::radix::MadeTcmalloc()),
      usual_of<Mimalloc>("mimalloc", test::groups::MadeMimalloc()),
      usual_of<Mimalloc>("mimalloc_3.1", test::groups::MadeArena()),
      usual_of<Mimalloc>("mimalloc_3.4", test::groups::MadeArena(true)),
      usual_of<Musl>("musl", test::groups::MadeMusl()),
      python(),
      v8(),
      sanitizer(),
      thread_stacks(),
  };
  add_jvm_shapes(out);
  out.push_back(block_shape<Zend>("php", test::php::MadePhp()));
  return out;
}

}  // namespace memwhy::fuzz
