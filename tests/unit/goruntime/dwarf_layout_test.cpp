// SPDX-License-Identifier: Apache-2.0
// The layout from a program's own debug information: equal to the measured one of its release, an error for what is
// missing or damaged, and good enough to read a live process by.
#include "goruntime/dwarf_layout.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <random>
#include <sstream>

#include "goruntime/layout_fields.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

Fd opened(const std::string& path) { return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

std::string error_of(const Fd& file, int minor) {
  Result<std::unique_ptr<const DwarfLayout>> own = dwarf_layout(file, minor);
  return own ? "" : own.error().message();
}

// The words of fields.go: {"mspan", "runtime.mspan", pairs("size", "", "start_addr", "startAddr", …)}, …
std::vector<std::string> words_of_generator() {
  std::ifstream in(std::string(MEMWHY_TEST_DATA) + "/../tools/go_layout/fields.go");
  std::stringstream text;
  text << in.rdbuf();
  const std::string all = text.str();
  const size_t begin = all.find("\t{\""), end = all.find("func pairs");
  std::vector<std::string> out;
  for (size_t at = all.find('"', begin); at < end; at = all.find('"', at)) {
    const size_t close = all.find('"', at + 1);
    out.push_back(all.substr(at + 1, close - at - 1));
    at = close + 1;
  }
  return out;
}

TEST(LayoutFields, are_those_of_the_generator) {
  std::vector<std::string> words;
  for (const LayoutStruct& s : layout_structs()) {
    words.insert(words.end(), {std::string(s.name), std::string(s.go_type)});
    for (const LayoutField& f : s.fields)
      words.insert(words.end(), {std::string(f.name), std::string(f.path)});
  }
  EXPECT_EQ(words, words_of_generator());
}

TEST(LayoutFields, are_all_members_of_a_layout) {
  size_t bytes = 0;
  Layout layout;
  for (const LayoutStruct& s : layout_structs())
    for (const LayoutField& f : s.fields) {
      bytes += f.size != nullptr ? sizeof(*f.size(layout)) : sizeof(*f.field(layout));
      if (f.size != nullptr)
        EXPECT_EQ((*f.size(layout))++, 0u) << s.name << " is there twice";
      else
        EXPECT_EQ(f.field(layout)->bytes++, 0u) << s.name << "." << f.name << " is there twice";
    }
  EXPECT_EQ(bytes, offsetof(Layout, wait_reasons) - offsetof(Layout, mheap));
}

void expect_equal(Layout own, Layout table) {
  for (const LayoutStruct& s : layout_structs())
    for (const LayoutField& f : s.fields) {
      if (f.size != nullptr) {
        EXPECT_EQ(*f.size(own), *f.size(table)) << s.name;
        continue;
      }
      EXPECT_EQ(f.field(own)->offset, f.field(table)->offset) << s.name << "." << f.name;
      EXPECT_EQ(f.field(own)->bytes, f.field(table)->bytes) << s.name << "." << f.name;
    }
  for (size_t i = 0; i < std::size(own.wait_reasons); ++i)
    EXPECT_EQ(own.wait_reasons[i], table.wait_reasons[i]) << i;
  EXPECT_EQ(own.special_profile_kind, table.special_profile_kind);
  EXPECT_EQ(own.minor, table.minor);
}

std::vector<Build> matrix() {
  std::vector<Build> out;
  for (const Release release : kReleases) {
    out.push_back({release, Variant::kPlain});
    if (release.minor == 19 || release.minor >= 26)
      for (const Variant variant : {Variant::kPie, Variant::kRace, Variant::kCgo})
        out.push_back({release, variant});
  }
  return out;
}

TEST(LayoutOf, is_of_a_release_and_a_machine) {
  ASSERT_NE(layout_of(26), nullptr);
  EXPECT_EQ(layout_of(26), layout_of(26, "x86-64"));
  EXPECT_EQ(layout_of(26, "aarch64"), nullptr);
  EXPECT_EQ(layout_of(18), nullptr);
}

class DwarfLayoutOf : public testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(Go, DwarfLayoutOf, testing::ValuesIn(matrix()), name_of);

TEST_P(DwarfLayoutOf, is_the_measured_one) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  const int minor = GetParam().release.minor;
  Result<std::unique_ptr<const DwarfLayout>> own = dwarf_layout(opened(path), minor);
  ASSERT_TRUE(own) << own.error().message();
  expect_equal((*own)->layout, *layout_of(minor));
}

TEST(DwarfLayout, names_what_is_missing) {
  const Build stripped{release(26), Variant::kStripped}, old{release(19), Variant::kPlain};
  const std::string without = built(stripped), before = built(old);
  MEMWHY_REQUIRE_BUILT(without, stripped);
  MEMWHY_REQUIRE_BUILT(before, old);
  EXPECT_EQ(error_of(opened(without), 26), "its program has no debug information (stripped)");
  // Taken for a release of today, it has not what those have.
  EXPECT_EQ(error_of(opened(before), 99), "its debug information has no field runtime.mspan.largeType");
  EXPECT_EQ(error_of(opened("/proc/self/exe"), 99), "its debug information has no unit of package runtime");
  EXPECT_EQ(error_of(opened("/proc/self/maps"), 99),
            "its debug information cannot be read (not an ELF file)");
}

// libelf reads a section whole, whatever its size: such files are refused before it sees them.
TEST(DwarfLayout, refuses_sections_of_gigabytes) {
  const auto file_with = [](const std::string& name, uint64_t bytes, uint64_t name_bytes) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG "\2\1\1", 7);
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_shoff = 0x1000;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    Elf64_Shdr sections[3] = {};
    for (Elf64_Shdr& one : sections) one.sh_offset = 0x2000;
    sections[1].sh_name = 1;
    sections[1].sh_type = SHT_PROGBITS;
    sections[1].sh_size = bytes;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_size = name_bytes;
    Fd file(::memfd_create("made", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file.get(), off_t{3} << 30), 0);
    EXPECT_EQ(::pwrite(file.get(), &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    EXPECT_EQ(::pwrite(file.get(), sections, sizeof sections, 0x1000), static_cast<ssize_t>(sizeof sections));
    EXPECT_EQ(::pwrite(file.get(), name.data(), name.size(), 0x2001), static_cast<ssize_t>(name.size()));
    return file;
  };
  EXPECT_EQ(error_of(file_with(".debug_info", 64, uint64_t{2} << 30), 99),
            "its debug information cannot be read (the names of its sections are too long)");
  for (const char* name : {".debug_info", ".zdebug_info", ".gnu.debuglto_.debug_info", ".gnu_debugaltlink"})
    EXPECT_EQ(error_of(file_with(name, uint64_t{2} << 30, 64), 99),
              "its debug information has more than 256 MiB");
  EXPECT_EQ(error_of(file_with(".debug_info", uint64_t{4} << 30, 64), 99),
            "its debug information cannot be read (a section is outside of the file)");
}

// A copy that can be damaged, its debug information not compressed: so that damage reaches what is parsed.
class DamagedDwarf : public testing::TestWithParam<Build> {
 protected:
  void SetUp() override {
    const std::string path = built(GetParam());
    MEMWHY_REQUIRE_BUILT(path, GetParam());
    const std::string whole = path + ".uncompressed." + std::to_string(::getpid());
    ASSERT_EQ(::system(("objcopy --decompress-debug-sections '" + path + "' '" + whole + "'").c_str()), 0);
    std::ifstream in(whole, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    ::unlink(whole.c_str());
    file_ = Fd(::memfd_create("damaged", MFD_CLOEXEC));
    ASSERT_TRUE(file_);
    ASSERT_EQ(::pwrite(file_.get(), bytes_.data(), bytes_.size(), 0), static_cast<ssize_t>(bytes_.size()));
    find_parts();
    ASSERT_GE(parts_.size(), 3u);
  }

  // Where damage is worth trying: the sections that are read, and the table of sections.
  void find_parts() {
    Elf64_Ehdr header;
    std::memcpy(&header, bytes_.data(), sizeof(header));
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    std::memcpy(sections.data(), bytes_.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
    const uint64_t names = sections[header.e_shstrndx].sh_offset;
    for (const Elf64_Shdr& section : sections) {
      const std::string name = bytes_.data() + names + section.sh_name;
      if (name == ".debug_info" || name == ".debug_abbrev")
        parts_.emplace_back(section.sh_offset, section.sh_size);
    }
    parts_.emplace_back(header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  }

  std::vector<char> bytes_;
  Fd file_;
  std::vector<std::pair<uint64_t, uint64_t>> parts_;
};
INSTANTIATE_TEST_SUITE_P(Dwarf4And5, DamagedDwarf,
                         testing::Values(Build{release(24), Variant::kPlain},
                                         Build{release(26), Variant::kPlain}),
                         name_of);

TEST_P(DamagedDwarf, is_an_error_or_a_layout_within_its_structs) {
  if (IsSkipped() || HasFatalFailure()) return;
  const int minor = GetParam().release.minor;
  Result<std::unique_ptr<const DwarfLayout>> whole = dwarf_layout(file_, minor);
  ASSERT_TRUE(whole) << whole.error().message();
  expect_equal((*whole)->layout, *layout_of(minor));

  std::mt19937_64 random(20240607);
  int refused = 0;
  constexpr int kRounds = 300;
  for (int round = 0; round < kRounds; ++round) {
    const auto [offset, bytes] = parts_[random() % parts_.size()];
    // A few bytes, or all that follows: zeros, ones, or noise.
    const uint64_t at = random() % bytes;
    const uint64_t length = round % 4 == 0 ? bytes - at : std::min<uint64_t>(bytes - at, 1 + random() % 64);
    std::vector<char> damage(length, round % 3 == 0 ? '\0' : '\xff');
    if (round % 3 == 2)
      for (char& byte : damage) byte = static_cast<char>(random());
    const auto place = static_cast<off_t>(offset + at);
    ASSERT_EQ(::pwrite(file_.get(), damage.data(), length, place), static_cast<ssize_t>(length));
    Result<std::unique_ptr<const DwarfLayout>> own = dwarf_layout(file_, minor);
    refused += own ? 0 : 1;
    if (own) {
      Layout layout = (*own)->layout;
      for (const LayoutStruct& s : layout_structs()) {
        uint32_t size = 4 << 20;
        for (const LayoutField& f : s.fields) {
          if (f.size != nullptr)
            size = *f.size(layout);
          else
            EXPECT_LE(uint64_t{f.field(layout)->offset} + f.field(layout)->bytes, size) << s.name;
        }
        EXPECT_LE(size, 4u << 20);
      }
    } else {
      EXPECT_FALSE(own.error().message().empty());
    }
    ASSERT_EQ(::pwrite(file_.get(), bytes_.data() + place, length, place), static_cast<ssize_t>(length));
  }
  std::printf("%s: %d of %d damages refused\n", GetParam().name().c_str(), refused, kRounds);
  EXPECT_GT(refused, kRounds / 4);
}

class UnknownRelease : public testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(Live, UnknownRelease,
                         testing::Values(Build{release(26), Variant::kPlain},
                                         Build{release(27), Variant::kPie}),
                         name_of);

TEST_P(UnknownRelease, is_read_as_by_its_table) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path);
  ASSERT_TRUE(target.wait_for("ready"));
  target.wait_until_still();
  const std::optional<GoProgram> known = target.program();
  ASSERT_TRUE(known);
  GoProgram unknown = *known, blind = *known;
  unknown.version = blind.version = "go1.99.1";
  unknown.own_layout = [&](int minor) { return dwarf_layout(opened(path), minor); };

  const events::PageScan none;
  GoProcess by_table(target.memory(), *known), by_dwarf(target.memory(), std::move(unknown));
  const HeapReading table = by_table.heap(none), own = by_dwarf.heap(none);
  EXPECT_EQ(table.how.layout, events::GoLayout::kTable);
  EXPECT_EQ(own.how.layout, events::GoLayout::kDwarf) << own.pages.problem;
  EXPECT_EQ(own.pages.problem, "");
  EXPECT_EQ(own.how.counters, table.how.counters);
  EXPECT_GT(own.how.counters.heap_in_use_bytes, 0u);
  EXPECT_EQ(own.how.spans, table.how.spans);
  EXPECT_EQ(own.pages.tables, table.pages.tables);

  const std::optional<events::GoGoroutines> here = by_dwarf.goroutines(), there = by_table.goroutines();
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->groups, there->groups);
  EXPECT_TRUE(std::any_of(here->groups.begin(), here->groups.end(),
                          [](const events::GoGroup& g) { return g.wait_reason == "chan send"; }));
  EXPECT_EQ(by_dwarf.profile()->buckets, by_table.profile()->buckets);

  GoProcess without(target.memory(), std::move(blind));
  const HeapReading refused = without.heap(none);
  EXPECT_EQ(refused.how.layout, events::GoLayout::kNone);
  EXPECT_EQ(refused.pages.problem, "go1.99.1 is not known to this memwhy; showing the system's view only");
}

TEST(UnknownProgram, of_a_stripped_program_is_refused_in_one_sentence) {
  const Build build{release(26), Variant::kStripped};
  const std::string path = built(build);
  MEMWHY_REQUIRE_BUILT(path, build);
  LiveTarget target(path);
  ASSERT_TRUE(target.wait_for("ready"));
  std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  program->version = "devel go1.28-0123456789";
  program->own_layout = [&](int minor) { return dwarf_layout(opened(path), minor); };
  GoProcess process(target.memory(), std::move(*program));
  for (int i = 0; i < 2; ++i)  // asked again, it is the same
    EXPECT_EQ(process.heap({}).pages.problem,
              "devel go1.28-0123456789 is not known to this memwhy, and its program has no debug information "
              "(stripped); showing the system's view only");
}

}  // namespace
}  // namespace memwhy::goruntime::test
