// SPDX-License-Identifier: Apache-2.0
// Functions that were inlined, by debug information: chains that the source says, by each compiler that is here and each format;
// and what a hostile file may cost.
#include "symbols/dwarf_frames.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>

#include "base/time.h"
#include "symbols/binary_table.h"
#include "unit/symbols/target.h"

namespace memwhy::symbols {
namespace {

using testing::run;

// At `mark` Slot::fill is inlined into Cache::insert, that into a static function, and that into outer(). The lines of the
// chain end with a number each.
constexpr const char* kSource = R"(
volatile int sum;
extern "C" int mark, behind;
namespace store {
struct Slot {
  __attribute__((always_inline)) void fill(int n) {
    sum = sum + n;
    __asm__ volatile(".globl mark\nmark: nop");  // 0
  }
};
template <typename Key>
struct Cache {
  Slot slot;
  __attribute__((always_inline)) void insert(Key key) {
    if (key > 3) {
      slot.fill(static_cast<int>(key));  // 1
    }
  }
};
}  // namespace store
static inline __attribute__((always_inline)) void helper(int n) {
  store::Cache<long> cache;
  cache.insert(n);  // 2
}
__attribute__((noinline)) int outer(int n) {
  helper(n);  // 3
  return sum;
}
__attribute__((noinline)) int other(int n) {
  __asm__ volatile(".globl behind\nbehind: nop");  // 4
  return n + outer(n);
}
int main(int argc, char**) { return other(argc); }
)";

class DwarfFramesTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = testing::scratch_directory("dwarf"); }
  void make(const std::string& command) {
    const auto made = run("cd '" + folder_ + "' && " + command);
    ASSERT_EQ(made.status, 0) << command << "\n" << made.output;
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }
  Fd file(const std::string& name) {
    return Fd(::open((folder_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  }
  uint64_t address(const std::string& name, const std::string& symbol) {
    for (const std::string& line : testing::split(run("nm '" + folder_ + "/" + name + "'").output, '\n')) {
      const auto fields = testing::split(line, ' ');
      if (fields.size() == 3 && fields[2] == symbol) return std::stoull(fields[0], nullptr, 16);
    }
    ADD_FAILURE() << "no symbol " << symbol << " in " << name;
    return 0;
  }
  // "store::Slot::fill(int) inlined.cpp:8 < ...", with the numbers of lines for those that are marked in the source.
  std::string chain(const std::vector<events::SourceFrame>& frames) {
    std::vector<std::string> lines = testing::split(kSource, '\n');
    std::string out;
    for (const events::SourceFrame& frame : frames) {
      const std::string text = frame.line >= 1 && frame.line <= lines.size() ? lines[frame.line - 1] : "";
      const size_t comment = text.rfind("// ");
      out += (out.empty() ? "" : " < ") + frame.function + " " +
             frame.file.substr(frame.file.rfind('/') + 1) + "#" +
             (comment == std::string::npos ? std::to_string(frame.line) : text.substr(comment + 3));
    }
    return out;
  }

  std::string folder_;
};

constexpr const char* kChain =
    "store::Slot::fill(int) inlined.cpp#0 < store::Cache<long>::insert(long) inlined.cpp#1 < "
    "helper inlined.cpp#2 < outer(int) inlined.cpp#3";

TEST_F(DwarfFramesTest, TheChainOfTheSource) {
  write("inlined.cpp", kSource);
  std::vector<std::string> ways = {"g++ -O2 -g",
                                   "g++ -O2 -gdwarf-4",
                                   "g++ -O2 -gdwarf-3",
                                   "g++ -O2 -g -gz",
                                   "g++ -O2 -g -gz=zlib-gnu",
                                   "g++ -O2 -g -no-pie -fdebug-types-section",
                                   "g++ -O3 -g -ffunction-sections -Wl,--gc-sections",
                                   "g++ -O2 -g -flto",
                                   "clang++-16 -O2 -g",
                                   "clang++-16 -O2 -gdwarf-4 -fdebug-types-section"};
  for (const std::string& way : ways) {
    make(way + " -fno-ipa-cp -fno-ipa-icf -o program inlined.cpp 2>&1 || " + way + " -o program inlined.cpp");
    DwarfFrames frames(file("program"));
    std::string found = chain(frames.lookup(address("program", "mark")));
    // Not every compiler says how a function is called that nobody else can call.
    if (const size_t at = found.find("helper(int)"); at != std::string::npos) found.replace(at, 11, "helper");
    EXPECT_EQ(found, kChain) << way;
    EXPECT_EQ(chain(frames.lookup(address("program", "behind"))), "other(int) inlined.cpp#4") << way;
    EXPECT_FALSE(frames.gave_up()) << way;
    EXPECT_TRUE(frames.lookup(1).empty());
    EXPECT_TRUE(frames.lookup(~uint64_t{0}).empty());
  }
}

// The function itself is called as the symbol table says, for which aliases were weighed; what was inlined has no symbol.
TEST_F(DwarfFramesTest, IsABinarysLookUp) {
  write("inlined.cpp", kSource);
  make(
      "g++ -O2 -g -Wl,--build-id inlined.cpp -o program && objcopy --only-keep-debug program debug && "
      "objcopy --strip-all program stripped");
  const uint64_t mark = address("program", "mark");
  const auto look_up = [&](const std::string& name, const std::string& debug) {
    BinaryTable table({});
    const OpenedBinary opened = table.take({file(name), name, {1, 1, 1, 1}});
    EXPECT_EQ(opened.facts.debug_info, name != "stripped") << name;
    if (!debug.empty()) {
      EXPECT_TRUE(table.add_symbols(opened.handle, {file(debug), debug, {1, 2, 1, 1}}));
    }
    const auto binary = Binary::open(*FileBytes::open(file(name), 1 << 30));
    const CodeOffset at{*(*binary)->elf().offset_of(mark) + 1, true};
    return chain(table.look_up(opened.handle, std::span(&at, 1))->front());
  };
  EXPECT_EQ(look_up("program", ""), kChain);
  EXPECT_EQ(look_up("stripped", "debug"), kChain);
  EXPECT_EQ(look_up("stripped", ""), "") << "without its debug file";
}

TEST_F(DwarfFramesTest, Rust) {
  ASSERT_EQ(run("rustc --version").status, 0) << "tools/dev/install test brings one";
  write("inlined.rs", R"(#![allow(named_asm_labels)]
struct Slot { bytes: u64 }
impl Slot {
    #[inline(always)]
    fn fill(&mut self, n: u64) {
        unsafe { std::ptr::write_volatile(&mut self.bytes, n) }
        unsafe { std::arch::asm!(".globl mark", "mark: nop") }
    }
}
trait Insert { fn insert(&mut self, n: u64); }
impl Insert for Slot {
    #[inline(always)]
    fn insert(&mut self, n: u64) {
        self.fill(n)
    }
}
#[inline(never)]
fn outer(n: u64) -> u64 {
    let mut slot = Slot { bytes: n };
    slot.insert(3);
    slot.bytes
}
fn main() { println!("{}", outer(std::env::args().count() as u64)); }
)");
  make("rustc -O -g -C codegen-units=1 inlined.rs -o program");
  DwarfFrames frames(file("program"));
  const std::vector<events::SourceFrame> found = frames.lookup(address("program", "mark"));
  ASSERT_EQ(found.size(), 3u) << chain(found);
  const std::vector<std::pair<std::string, uint32_t>> expected = {
      {"inlined::Slot::fill", 7}, {"<inlined::Slot as inlined::Insert>::insert", 14}, {"inlined::outer", 20}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[i].function, expected[i].first);
    EXPECT_EQ(found[i].line, expected[i].second);
  }
}

// Debug information that an assembler wrote: a unit and a function, 0x100 to 0x1100, and in it what a test says.
std::string assembly(const std::string& inside, const std::string& before = "") {
  return R"(
.section .debug_abbrev,"",@progbits
.uleb128 1; .uleb128 0x11; .byte 1; .uleb128 0x11, 0x01, 0x12, 0x0f, 0, 0      # unit: low, bytes
.uleb128 2; .uleb128 0x2e; .byte 1; .uleb128 0x03, 0x08, 0x11, 0x01, 0x12, 0x0f, 0, 0  # function: name, low, bytes
.uleb128 3; .uleb128 0x0b; .byte 1; .uleb128 0x11, 0x01, 0x12, 0x0f, 0, 0      # block: low, bytes
.uleb128 4; .uleb128 0x1d; .byte 1; .uleb128 0x31, 0x13, 0x11, 0x01, 0x12, 0x0f, 0, 0  # inlined: origin, low, bytes
.uleb128 5; .uleb128 0x2e; .byte 0; .uleb128 0x31, 0x13, 0, 0                  # function: origin
.uleb128 6; .uleb128 0x39; .byte 1; .uleb128 0, 0                              # namespace
.byte 0
.section .debug_info,"",@progbits
info:
.long end - begin
begin:
.value 4
.long 0
.byte 8
.uleb128 1; .quad 0x100; .uleb128 0x1000
)" + before +
         R"(
.uleb128 2; .asciz "outer"; .quad 0x100; .uleb128 0x1000
)" + inside +
         R"(
.byte 0
.byte 0
end:
)";
}

class HostileDwarf : public DwarfFramesTest {
 protected:
  // The look-up of 0x180, and its seconds of CPU.
  std::vector<events::SourceFrame> look_up(const std::string& text) {
    write("hostile.s", text);
    make("gcc -shared -nostdlib -Wl,--build-id hostile.s -o hostile.so");
    frames_.emplace(file("hostile.so"));
    const uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    auto found = frames_->lookup(0x180);
    seconds_ = static_cast<double>(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / 1e9;
    return found;
  }
  std::optional<DwarfFrames> frames_;
  double seconds_ = 0;
};

TEST_F(HostileDwarf, OfWhichNothingIsHostile) {
  const auto found =
      look_up(assembly("inner: .uleb128 3; .quad 0x100; .uleb128 0x100; .uleb128 4; .long origin - info; "
                       ".quad 0x180; .uleb128 1; .byte 0; .byte 0",
                       "origin: .uleb128 2; .asciz \"inner\"; .quad 0; .uleb128 0; .byte 0"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].function, "inner");
  EXPECT_EQ(found[1].function, "outer");
  EXPECT_TRUE(frames_->lookup(0x1100).empty()) << "behind its end";
}

TEST_F(HostileDwarf, OriginsInACircle) {
  const auto found =
      look_up(assembly("one: .uleb128 4; .long two - info; .quad 0x100; .uleb128 0x100; .byte 0\n"
                       "two: .uleb128 5; .long three - info\nthree: .uleb128 5; .long two - info"));
  ASSERT_EQ(found.size(), 1u) << "what has no name is left out";
  EXPECT_EQ(found[0].function, "outer");
  const auto itself =
      look_up(assembly("one: .uleb128 4; .long one - info; .quad 0x100; .uleb128 0x100; .byte 0"));
  ASSERT_EQ(itself.size(), 1u);
}

TEST_F(HostileDwarf, BlocksInBlocks) {
  const auto found =
      look_up(assembly(".rept 200000\n.uleb128 3; .quad 0x100; .uleb128 0x100\n.endr\n"
                       ".rept 200000\n.byte 0\n.endr"));
  ASSERT_LE(found.size(), 1u);
}

TEST_F(HostileDwarf, InlinedWithoutEnd) {
  const auto found =
      look_up(assembly(".rept 200000\n.uleb128 4; .long origin - info; .quad 0x100; .uleb128 0x100\n.endr\n"
                       ".rept 200000\n.byte 0\n.endr",
                       "origin: .uleb128 2; .asciz \"inner\"; .quad 0; .uleb128 0; .byte 0"));
  EXPECT_LE(found.size(), DwarfFrames::kMostFrames);
}

// Each namespace is a byte, and without a word of where the next one is: walked over once, and no more than the budget.
TEST_F(HostileDwarf, NamespacesInNamespaces) {
  const auto found = look_up(assembly("", ".fill 3000000, 1, 6\n.fill 3000000, 1, 0"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].function, "outer") << "what is behind them is found";
  EXPECT_FALSE(frames_->gave_up());
  EXPECT_LT(seconds_, 5);
}

// Of so many that nobody walks over all of them the function before them is found the next time.
TEST_F(HostileDwarf, MoreThanTheBudget) {
  EXPECT_TRUE(look_up(assembly(".byte 0\n.fill 5000000, 2, 6\n.uleb128 6")).empty());
  EXPECT_TRUE(frames_->gave_up());
  EXPECT_LT(seconds_, 5);
  const auto again = frames_->lookup(0x180);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].function, "outer");
}

TEST_F(HostileDwarf, CutAnywhere) {
  write("inlined.cpp", kSource);
  make("g++ -O2 -g inlined.cpp -o program");
  const uint64_t mark = address("program", "mark");
  const std::vector<std::byte> whole = testing::file_bytes(folder_ + "/program");
  for (size_t bytes = 0; bytes < whole.size(); bytes += 97) {
    write("cut", std::string(reinterpret_cast<const char*>(whole.data()), bytes));
    EXPECT_LE(DwarfFrames(file("cut")).lookup(mark).size(), 4u);
  }
}

}  // namespace
}  // namespace memwhy::symbols
