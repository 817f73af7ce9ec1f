// SPDX-License-Identifier: Apache-2.0
// Files that claim more than anybody should read: what is asked of the file is counted, so that a bound is a number
// and not a time. Beside each the facts that must survive. Damaged files are parse_test.cpp's.
#include <gtest/gtest.h>

#include "symbols/binary.h"
#include "symbols/demangle.h"
#include "unit/symbols/made_file.h"

namespace memwhy::symbols {
namespace {

using testing::Asked;
using testing::MadeFile;

constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
constexpr uint64_t kBase = 0x400000;

struct Opened {
  std::unique_ptr<Binary> binary;
  std::shared_ptr<Asked> asked;
};

Opened open(MadeFile file) {
  Opened out;
  out.asked = file.share_asked();
  auto binary = Binary::open(std::make_unique<MadeFile>(std::move(file)));
  EXPECT_TRUE(binary) << binary.error().message();
  if (binary) out.binary = std::move(*binary);
  return out;
}

bool says(const Binary& binary, const std::string& what) {
  return binary.facts().problem.find(what) != std::string::npos;
}

TEST(Budgets, SegmentsOverTheSameBytesAreSearchedOnce) {
  constexpr uint16_t kSegments = 65534;
  constexpr uint64_t kBytes = 64 * kMiB;
  MadeFile file(kBytes);
  file.headers(kSegments);
  file.program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kBytes, kSegments);
  file.program(0, PT_NOTE, PF_R, kBytes / 2, kBase, MadeFile::kGoNoteBytes);
  file.go_note(kBytes / 2);
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_EQ(opened.binary->facts().go_build_id, "mine");
  EXPECT_LT(opened.asked->bytes, kBytes + 8 * kMiB);
  EXPECT_EQ(opened.binary->elf().segments().size(), 128u);
  EXPECT_TRUE(says(*opened.binary, "segments after the first 128")) << opened.binary->facts().problem;
}

TEST(Budgets, OverlappingSegmentsAreSearchedOnce) {
  constexpr uint64_t kBytes = 64 * kMiB;
  MadeFile file(kBytes);
  file.headers(101);
  for (uint64_t i = 0; i < 100; ++i)
    file.program(i, PT_LOAD, PF_R, i * 4096, kBase + i * kBytes, kBytes - i * 8192);
  file.program(100, PT_NOTE, PF_R, kBytes / 2, kBase, MadeFile::kGoNoteBytes);
  file.go_note(kBytes / 2);
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_LT(opened.asked->bytes, kBytes + 4 * kMiB);
  EXPECT_EQ(opened.binary->facts().problem, "");
}

TEST(Budgets, WithoutEvidenceOfGoNothingIsSearched) {
  MadeFile file(kGiB);
  file.headers(1);
  file.program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kGiB);
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_LT(opened.asked->bytes, kMiB);
  EXPECT_EQ(opened.binary->facts().problem, "");
}

// Inline build info, as Go 1.18 and later write it.
void build_info(MadeFile& file, uint64_t at, const std::string& version) {
  file.text(at, std::string("\xff Go buildinf:\x08\x02", 16));
  const std::string frame(16, 'f');
  const std::string module = frame + "path\tweb\nbuild\t-race=true\nbuild\tCGO_ENABLED=1\n" + frame;
  std::string text(1, static_cast<char>(version.size()));
  text += version;
  text += static_cast<char>(module.size());
  file.text(at + 32, text + module);
}

TEST(Budgets, AFileOfGigabytesKeepsItsOtherFacts) {
  MadeFile file(4 * kGiB);
  file.headers(2);
  file.program(0, PT_LOAD, PF_R | PF_W, 0x10000, kBase + 0x10000, 4096);
  file.program(1, PT_LOAD, PF_R, 0, 2 * kGiB, 4 * kGiB);
  build_info(file, 0x10000, "go1.26.8");
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_LE(opened.asked->bytes, Binary::kWholeWork);
  EXPECT_TRUE(says(*opened.binary, "looking for Go's tables in it was given up"));
  ASSERT_TRUE(opened.binary->facts().go.has_value());
  EXPECT_EQ(opened.binary->facts().go->version, "go1.26.8");
  EXPECT_TRUE(opened.binary->facts().go->race) << "as its build info says";
  EXPECT_TRUE(opened.binary->facts().go->cgo);
}

// A line table with one function from kText on, as Go 1.20 to 1.27 write it, and a moduledata that confirms it.
constexpr uint64_t kText = kBase + 0x1000, kTable = 0x10000, kModule = 0x8000;
struct TableSizes {
  uint64_t names = 64, pctab = 64;
  uint32_t code = 0x7f;
  uint32_t functions = 1;
};

void line_table(MadeFile& file, uint64_t at, const TableSizes& sizes) {
  const uint64_t names = 80, units = names + sizes.names, files = units + 64, pctab = files + 64,
                 functions = pctab + sizes.pctab;
  const uint64_t words[] = {
      uint64_t{0x0801} << 48 | 0xfffffff1, sizes.functions, 1, kText, names, units, files, pctab, functions};
  file.put(at, words);
  file.text(at + names, std::string("\0runtime.x\0_rt0_amd64_linux\0", 28));
  file.text(at + files, "/x.go");
  const uint32_t record = 8 * sizes.functions + 8;
  for (uint32_t i = 0; i < sizes.functions; ++i) {
    const uint32_t entry[] = {i * sizes.code, record};
    file.put(at + functions + 8 * i, entry);
  }
  file.put(at + functions + 8 * sizes.functions, sizes.functions * sizes.code);
  // _func: entry, name, args, deferreturn, pcsp, pcfile, pcln, pcdata entries, unit, start line, kinds; then three
  // pcdata (the last is the inline index) and four funcdata (the last is the inline tree).
  const uint32_t func[] = {0, 1, 0, 0, 0, 1, 1, 3, 0, 1, 0x04000000, 0, 0, 1, ~0u, ~0u, ~0u, 0};
  file.put(at + functions + record, func);
}

void moduledata(MadeFile& file, uint64_t at, uint64_t table_vaddr, const TableSizes& sizes, uint64_t gofunc) {
  std::vector<uint64_t> words(50);
  words[0] = table_vaddr;
  words[1] = table_vaddr + 80;
  words[2] = words[3] = sizes.names;
  words[20] = words[22] = kText;
  words[21] = words[23] = kText + uint64_t{sizes.functions} * sizes.code;
  words[40] = gofunc;
  file.put_bytes(at, words.data(), words.size() * 8);
}

// A Go program whose function is inlined into itself, level upon level: the parent's pc has the same inline index.
MadeFile inline_loop(const TableSizes& sizes, const std::string& steps, uint64_t times) {
  const uint64_t size = kTable + sizes.names + sizes.pctab + 16 * kMiB;
  MadeFile file(size);
  file.headers(3);
  file.program(0, PT_LOAD, PF_R | PF_X, 0, kBase, size);
  file.program(1, PT_LOAD, PF_R | PF_W, kModule, kBase + kModule, 4096);
  file.program(2, PT_NOTE, PF_R, 0x4000, kBase, MadeFile::kGoNoteBytes);
  file.go_note(0x4000);
  line_table(file, kTable, sizes);
  const uint64_t tree = size - 8 * kMiB;
  moduledata(file, kModule, kBase + kTable, sizes, kBase + tree);
  const uint64_t sequence = kTable + 80 + sizes.names + 128 + 1;  // of pctab, offset 1
  file.put_bytes(sequence, steps.data(), steps.size(), times);
  file.put(sequence + steps.size() * times, uint8_t{2});
  const uint8_t far[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0};
  file.put(sequence + steps.size() * times + 1, far);
  const uint32_t call[] = {0, 1, 5, 1};  // id, name, parent pc, start line
  file.put(tree, call, 400000);
  return file;
}

TEST(Budgets, CallsInlinedIntoThemselvesAreCutAt128) {
  // One pair: value 0 up to the end of the function.
  Opened opened = open(inline_loop({}, std::string("\2\x7f\0", 3), 1));
  ASSERT_TRUE(opened.binary && opened.binary->facts().go);
  const auto frames = opened.binary->lookup(kText + 9, false);
  ASSERT_EQ(frames.size(), 128u);
  EXPECT_EQ(frames.front().function, "runtime.x");
  EXPECT_EQ(opened.binary->facts().problem, "");
}

TEST(Budgets, ASequenceHasNoMoreStepsThanItsFunctionHasInstructions) {
  // A function of 127 bytes, and sequences of a MiB that never get on.
  Opened opened = open(inline_loop({.pctab = 2 * kMiB}, std::string("\2\0", 2), kMiB / 2));
  ASSERT_TRUE(opened.binary && opened.binary->facts().go);
  const uint64_t before = opened.asked->bytes;
  for (uint64_t i = 0; i < 120; ++i) {
    const auto frames = opened.binary->lookup(kText + 5 + i, false);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].function, "runtime.x");
    EXPECT_EQ(frames[0].line, 0u) << "where no line is known, none is said";
  }
  EXPECT_LT(opened.asked->bytes - before, kMiB);
}

TEST(Budgets, OneStackOfALongFunctionIsBounded) {
  // The function says that it has 2 GiB of code, so its sequences may be long; and each level reads three of them.
  Opened opened =
      open(inline_loop({.pctab = 40 * kMiB, .code = 0x7fffffff}, std::string("\1\1", 2), 16 * kMiB));
  ASSERT_TRUE(opened.binary && opened.binary->facts().go);
  EXPECT_EQ(opened.binary->facts().problem, "");
  for (uint64_t i = 0; i < 120; ++i)
    EXPECT_TRUE(opened.binary->lookup(kText + 12'000'000 + i * 50'000, false).empty());
  EXPECT_TRUE(says(*opened.binary, "names for some of its addresses were given up"));
  // The parsed bytes are what costs: 8 each. Of what is saved and what comes with each look-up.
  EXPECT_LT(opened.asked->bytes, 64 * kMiB);
}

TEST(Budgets, AfterALookupThatWasGivenUpOthersAreAnswered) {
  Opened opened = open(inline_loop({.pctab = 40 * kMiB, .code = 0x7fffffff, .functions = 1},
                                   std::string("\1\1", 2), 16 * kMiB));
  ASSERT_TRUE(opened.binary && opened.binary->facts().go);
  for (uint64_t i = 0; i < 200; ++i) (void)opened.binary->lookup(kText + 12'000'000 + i * 50'000, false);
  const auto frames = opened.binary->lookup(kText, false);
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames.back().function, "runtime.x");
}

TEST(Budgets, CandidatesForATableAreBoundedTogether) {
  // 1,024 headers that all pass the first look; each would have the writable data and the relocations searched.
  constexpr uint64_t kBytes = 512 * kMiB, kData = 256 * kMiB;
  MadeFile file(kBytes);
  file.headers(4);
  file.program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kData);
  file.program(1, PT_LOAD, PF_R | PF_W, kData, kBase + kData, kData);
  file.program(2, PT_DYNAMIC, PF_R, 0x8000, kBase + 0x8000, 64);
  file.program(3, PT_NOTE, PF_R, 0x4000, kBase, MadeFile::kGoNoteBytes);
  file.go_note(0x4000);
  const uint64_t dynamic[] = {DT_RELA, kBase + kData, DT_RELASZ, kData, 0, 0};
  file.put(0x8000, dynamic);
  for (uint64_t i = 0; i < 1024; ++i) {
    const uint64_t words[] = {uint64_t{0x0801} << 48 | 0xfffffff1, 1, 1, 0x1000, 80, 84, 88, 92, 96};
    file.put(0x10000 + i * 128, words);
    const uint32_t functions[] = {0, 1, 2};
    file.put(0x10000 + i * 128 + 96, functions);
  }
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_LE(opened.asked->bytes, Binary::kWholeWork + 2 * kMiB);
  EXPECT_FALSE(opened.binary->go_table().has_value());
  EXPECT_TRUE(says(*opened.binary, "given up")) << opened.binary->facts().problem;
}

TEST(Budgets, NamesOfGigabytesAreNotSearchedForEver) {
  TableSizes sizes;
  sizes.names = 3 * kGiB;
  Opened opened = open(inline_loop(sizes, std::string("\2\x7f\0", 3), 1));
  ASSERT_TRUE(opened.binary && opened.binary->facts().go);
  EXPECT_LE(opened.asked->bytes, Binary::kWholeWork);
  const uint64_t before = opened.asked->bytes;
  EXPECT_FALSE(opened.binary->has_go_function("runtime.nobody"));
  const auto found = opened.binary->go_functions({"runtime.a", "runtime.b", "runtime.c", "runtime.d"});
  EXPECT_EQ(found, std::vector<std::optional<AddressRange>>(4));
  EXPECT_LE(opened.asked->bytes - before, 2 * Binary::kWholeWork);
  EXPECT_EQ(opened.binary->lookup(kText + 9, false).size(), 128u) << "an address is still answered";
}

TEST(Budgets, NotesAreBoundedTogether) {
  constexpr uint16_t kPrograms = 65534;
  MadeFile file(8 * kMiB);
  file.headers(kPrograms);
  file.program(0, PT_NOTE, PF_R, 4 * kMiB, 0, 64 << 10, kPrograms);
  file.program(1, PT_LOAD, PF_R | PF_X, 0, kBase, 8 * kMiB);
  const uint32_t note[] = {4, 8, NT_GNU_BUILD_ID, 0x554e47, 0x44332211, 0x88776655};
  file.put(4 * kMiB, note);
  const Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_EQ(opened.binary->facts().build_id, "1122334455667788");
  EXPECT_LT(opened.asked->bytes, 6 * kMiB);
  EXPECT_TRUE(says(*opened.binary, "some of its notes"));
}

// A table of one section and of its strings, which hold the sections' names too.
struct Sections {
  static constexpr uint64_t kAt = 0x2000, kStrings = 0x3000;
  static void put(MadeFile& file, uint32_t type, uint64_t offset, uint64_t bytes) {
    Elf64_Shdr sections[3] = {};
    sections[1].sh_name = 14;
    sections[1].sh_type = type;
    sections[1].sh_offset = offset;
    sections[1].sh_size = bytes;
    sections[1].sh_link = 2;
    sections[2].sh_name = 20;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = kStrings;
    sections[2].sh_size = 64;
    file.put(kAt, sections);
    file.text(kStrings, std::string("\0first\0second\0.made\0.strings\0", 29));
  }
};

TEST(Budgets, SymbolsAreBoundedByMemory) {
  constexpr uint64_t kSymbols = 6 << 20, kTableAt = 0x10000;
  MadeFile file(kTableAt + kSymbols * sizeof(Elf64_Sym));
  file.headers(1, Sections::kAt, 3, 2);
  file.program(0, PT_LOAD, PF_R | PF_X, 0, kBase, 0x10000);
  Sections::put(file, SHT_SYMTAB, kTableAt, kSymbols * sizeof(Elf64_Sym));
  const Elf64_Sym first{.st_name = 1,
                        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                        .st_other = 0,
                        .st_shndx = 1,
                        .st_value = kBase,
                        .st_size = 16};
  Elf64_Sym second = first;
  second.st_name = 7;
  second.st_value = kBase + 64;
  const std::vector<Elf64_Sym> thousand(1024, second);
  file.put_bytes(kTableAt, thousand.data(), thousand.size() * sizeof(Elf64_Sym), kSymbols / 1024);
  file.put(kTableAt, first);
  Opened opened = open(std::move(file));
  ASSERT_TRUE(opened.binary);
  EXPECT_TRUE(says(*opened.binary, "more symbols than are read")) << "known when it is opened";
  EXPECT_LE(opened.binary->memory_bytes(), 16 * SymbolTable::kMaxKept + Binary::kCacheBytes);
  const uint64_t before = opened.asked->bytes;
  for (const bool at_the_end : {false, true}) {
    const auto one = opened.binary->lookup(kBase + (at_the_end ? 15 : 0), false);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].function, "first");
    const auto other = opened.binary->lookup(kBase + 64 + (at_the_end ? 15 : 0), false);
    ASSERT_EQ(other.size(), 1u);
    EXPECT_EQ(other[0].function, "second");
  }
  EXPECT_TRUE(opened.binary->lookup(kBase + 16, false).empty());
  EXPECT_LE(opened.asked->bytes - before, BlockCache::kBlockBytes)
      << "a name, and not its millions of aliases";
}

TEST(Budgets, ABlockIsPaidForWhenItIsRead) {
  BlockCache cache(std::make_unique<MadeFile>(4 * kMiB), kMiB);
  uint64_t word = 0;
  const auto read = [&](uint64_t at) {
    return cache.read_at(at, std::as_writable_bytes(std::span(&word, 1))).ok();
  };
  constexpr uint64_t kHit = Budget::kRead + Budget::kParsedByte * 8, kMiss = kHit + BlockCache::kBlockBytes;
  EXPECT_TRUE(read(0)) << "nothing limits it yet";
  cache.budget().allow(kMiss + 2 * kHit);
  EXPECT_TRUE(read(8));
  EXPECT_TRUE(read(kMiB));
  EXPECT_TRUE(read(kMiB));
  EXPECT_EQ(cache.budget().left(), 0u);
  EXPECT_FALSE(cache.budget().used_up()) << "all that was asked was given";
  EXPECT_FALSE(read(0));
  EXPECT_TRUE(cache.budget().used_up());
  cache.budget().allow(kHit + 1);
  EXPECT_FALSE(read(2 * kMiB)) << "a block costs more";
  EXPECT_FALSE(read(0)) << "and then nothing more is read";
  cache.budget().allow(kHit);
  EXPECT_TRUE(read(0));
}

TEST(Budgets, RangesAreUnited) {
  const auto check = [](std::vector<FileRange> in, const std::vector<std::pair<uint64_t, uint64_t>>& out) {
    std::vector<std::pair<uint64_t, uint64_t>> got;
    for (const FileRange& one : united(std::move(in))) got.emplace_back(one.begin, one.end);
    EXPECT_EQ(got, out);
  };
  check({}, {});
  check({{5, 5}, {9, 3}}, {});
  check({{10, 20}, {0, 10}, {15, 17}, {30, 40}, {19, 25}}, {{0, 25}, {30, 40}});
}

std::string substitution(size_t index) {  // S_, S0_, S1_ …
  if (index == 0) return "S_";
  std::string digits;
  for (size_t rest = index - 1; digits.empty() || rest != 0; rest /= 36)
    digits.insert(digits.begin(), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest % 36]);
  return "S" + digits + "_";
}

TEST(Budgets, ANameThatDoublesWithEachLevelEnds) {
  // A<B, B>, A<that, that>, … 80 levels: 2^80 letters.
  std::string cpp = "_Z1f1AI1BS0_E";
  for (size_t level = 0; level < 80; ++level)
    cpp += "S_I" + substitution(level + 2) + substitution(level + 2) + "E";
  const std::string cpp_text = demangle(cpp);
  EXPECT_EQ(cpp_text.size(), 4096u);
  EXPECT_TRUE(cpp_text.starts_with("f(A<B, B>, A<A<B, B>, A<B, B> >, ")) << cpp_text.substr(0, 64);

  // (usize, usize), (that, that), …: back references name a place of the symbol, in base 62.
  const auto reference = [](size_t place) {
    std::string digits;
    for (size_t rest = place - 1; digits.empty() || rest != 0; rest /= 62)
      digits.insert(digits.begin(),
                    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest % 62]);
    return "B" + digits + "_";
  };
  std::string rust = "_RINvC1a1f";
  size_t last = rust.size() - 2;
  rust += "TjjE";
  for (int level = 0; level < 80; ++level) {
    const size_t here = rust.size() - 2;
    rust += "T" + reference(last) + reference(last) + "E";
    last = here;
  }
  const std::string rust_text = demangle(rust + "E");
  EXPECT_EQ(rust_text.size(), 4096u);
  EXPECT_TRUE(rust_text.starts_with("a::f::<(usize, usize), ((usize, usize), (usize, usize)), "))
      << rust_text.substr(0, 64);
  EXPECT_EQ(demangle("_ZN3foo3barEi"), "foo::bar(int)") << "and the next one is not harmed";
}

}  // namespace
}  // namespace memwhy::symbols
