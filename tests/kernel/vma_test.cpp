// SPDX-License-Identifier: Apache-2.0
// The mmap family: ranges, order, and who asked.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

namespace memwhy::kernel_test {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// mmap with no libc frame in between: the instruction itself is in the caller.
__attribute__((always_inline)) inline char* raw_mmap(void* at, size_t bytes, int prot, int flags) {
  long result = SYS_mmap;
  register long r10 asm("r10") = flags;
  register long r8 asm("r8") = -1;
  register long r9 asm("r9") = 0;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(at), "S"(bytes), "d"(static_cast<long>(prot)), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return reinterpret_cast<char*>(result);
}

// What happened to the target's memory, in order, within its scratch range.
std::vector<std::string> story(const Observer& seen, SpaceId space, uint64_t base) {
  std::vector<std::string> lines;
  const auto at = [&](AddressRange r) {
    const auto offset = static_cast<int64_t>(r.start - base) / static_cast<int64_t>(kPage);
    return std::to_string(offset) + "+" + std::to_string(r.bytes() / kPage);
  };
  TimeNs last = 0;
  for (const events::Event& event : seen.events()) {
    if (std::holds_alternative<events::Stack>(event.payload) ||
        std::holds_alternative<events::PageTableRuns>(event.payload))
      continue;
    EXPECT_GE(event.time, last);
    last = event.time;
    if (const auto* m = std::get_if<events::VmaMapped>(&event.payload); m && m->space == space)
      lines.push_back("map " + at(m->range));
    if (const auto* u = std::get_if<events::VmaUnmapped>(&event.payload); u && u->space == space)
      lines.push_back("unmap " + at(u->range) + " why " + std::to_string(static_cast<int>(u->why)) +
                      " advice " + std::to_string(u->advice));
    if (const auto* a = std::get_if<events::VmaAdvised>(&event.payload); a && a->space == space)
      lines.push_back("advise " + at(a->range) + " " + std::to_string(a->advice));
    if (const auto* v = std::get_if<events::VmaMoved>(&event.payload); v && v->space == space)
      lines.push_back("move " + at(v->from) + " to " + at(v->to));
  }
  return lines;
}

class MmapFamily : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Hook, MmapFamily, testing::Values("tracepoint", "raw_tp"),
                         [](const auto& how) { return std::string(how.param); });

TEST_P(MmapFamily, TellsRangesInOrder) {
  probe::Options options;
  options.force_hook = {{"system_calls", GetParam()}};
  OPEN_PROBE(probe, options);
  Target target([](Report& report) {
    char* base =
        raw_mmap(nullptr, 16 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    report.address = reinterpret_cast<uint64_t>(base);
    ::madvise(base, 3 * kPage, MADV_DONTNEED);
    ::madvise(base + kPage, kPage + 1, MADV_FREE);
    ::madvise(base, kMiB, MADV_NOHUGEPAGE);
    ::madvise(base + 2048 * kPage, kPage, MADV_SEQUENTIAL);  // moves no pages: not told; splits a VMA
    (void)!::madvise(base + 1, kPage, MADV_DONTNEED);        // fails: not on a page
    ::munmap(base + 256 * kPage, 5000);                      // two pages
    char* fixed = raw_mmap(base + 512 * kPage, 4 * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    (void)!::mmap(fixed, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                  0);  // EEXIST
    (void)!::mremap(base, 8 * kPage, 8 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, base + 1024 * kPage);
    (void)!::mremap(base + 1024 * kPage, 8 * kPage, 6 * kPage, 0);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  const std::vector<std::string> expected = {
      "map 0+4096",
      "unmap 0+3 why 4 advice 4",
      "advise 1+2 8",
      "advise 0+256 15",
      "unmap 256+2 why 1 advice 0",
      "unmap 512+4 why 2 advice 0",
      "map 512+4",
      "unmap 1024+8 why 2 advice 0",
      "move 0+8 to 1024+8",
      "unmap 1030+2 why 1 advice 0",
      "move 1024+8 to 1024+6",
  };
  EXPECT_EQ(story(seen, space, target.report().address), expected);

  const std::vector<events::VmaMapped> maps = seen.all<events::VmaMapped>(space);
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[0].prot, static_cast<uint32_t>(PROT_READ | PROT_WRITE));
  EXPECT_EQ(maps[0].flags, static_cast<uint32_t>(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  EXPECT_EQ(maps[0].fd, -1);
  EXPECT_EQ(maps[0].tid, target.pid());
  EXPECT_NE(maps[0].stack, StackId::kNone);
  EXPECT_NE(maps[0].stack, maps[1].stack);
  for (const events::VmaMapped& m : maps) EXPECT_GE(seen.frames(m.stack).size(), 2u);
  const events::Coverage coverage = probe.coverage();
  for (const events::KindCount& kind : coverage.kinds)
    EXPECT_EQ(kind.seen, kind.delivered + kind.lost) << kind.kind;
}

TEST_P(MmapFamily, TellsBrk) {
  probe::Options options;
  options.force_hook = {{"system_calls", GetParam()}};
  OPEN_PROBE(probe, options);
  Target target([](Report& report) {
    auto* end = static_cast<char*>(::sbrk(0));
    report.address = reinterpret_cast<uint64_t>(end);
    (void)!::brk(end + 10 * kPage);
    (void)!::brk(end + 4 * kPage);
    (void)!::brk(end);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  const uint64_t end = (target.report().address + kPage - 1) / kPage * kPage;
  const auto grown = seen.all<events::HeapGrown>(space);
  const auto gone = seen.all<events::VmaUnmapped>(space);
  ASSERT_EQ(grown.size(), 1u);
  EXPECT_EQ(grown[0].range, (AddressRange{end, end + 10 * kPage}));
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_EQ(gone[0].range, (AddressRange{end + 4 * kPage, end + 10 * kPage}));
  EXPECT_EQ(gone[1].range, (AddressRange{end, end + 4 * kPage}));
  EXPECT_EQ(gone[0].why, events::UnmapWhy::kBrk);
}

TEST(Mmap, TellsTheFile) {
  OPEN_PROBE(probe, {});
  const int file = ::memfd_create("memwhy", 0);
  ASSERT_EQ(::ftruncate(file, 8 * kPage), 0);
  Target target([&](Report&) { (void)!::mmap(nullptr, 2 * kPage, PROT_READ, MAP_SHARED, file, 3 * kPage); });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  const auto maps = seen.all<events::VmaMapped>(space);
  ASSERT_EQ(maps.size(), 1u);
  EXPECT_EQ(maps[0].fd, file);
  EXPECT_EQ(maps[0].offset, 3 * kPage);
  EXPECT_EQ(maps[0].range.bytes(), 2 * kPage);
  ::close(file);
}

}  // namespace
}  // namespace memwhy::kernel_test
