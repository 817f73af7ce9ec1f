// SPDX-License-Identifier: Apache-2.0
// The parsers on known files, and on what is left of them when they are cut or damaged: whatever the bytes
// are, a parser answers or refuses, and never reads outside (run under ASan and UBSan).
// Longer than 400 lines because each format's damage stands beside what it reads when whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "symbols/binary.h"
#include "symbols/demangle.h"
#include "symbols/go_build_info.h"
#include "unit/symbols/target.h"

namespace memwhy::symbols {
namespace {

using Bytes = std::shared_ptr<const std::vector<std::byte>>;

// A file with a few bytes changed, or cut, without a copy of it.
class ChangedBytes final : public ByteSource {
 public:
  ChangedBytes(Bytes bytes, uint64_t size, std::vector<std::pair<uint64_t, std::byte>> changes)
      : bytes_(std::move(bytes)), size_(size), changes_(std::move(changes)) {}
  uint64_t size() const override { return size_; }
  Status read_at(uint64_t offset, std::span<std::byte> out) override {
    if (offset > size_ || out.size() > size_ - offset) return Error(ErrorCode::kBadInput, "outside");
    std::copy_n(bytes_->begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    for (const auto& [at, value] : changes_) {
      if (at >= offset && at - offset < out.size()) out[at - offset] = value;
    }
    return {};
  }

 private:
  Bytes bytes_;
  uint64_t size_;
  std::vector<std::pair<uint64_t, std::byte>> changes_;
};

Result<std::unique_ptr<Binary>> open(const Bytes& bytes, uint64_t size,
                                     std::vector<std::pair<uint64_t, std::byte>> changes = {}) {
  return Binary::open(std::make_unique<ChangedBytes>(bytes, size, std::move(changes)));
}

Bytes load_file(const std::string& path) {
  return std::make_shared<const std::vector<std::byte>>(testing::file_bytes(path));
}

// A shared library with functions of known names and places.
std::string build_library(const std::string& flags, const std::string& name) {
  const std::string folder = testing::scratch_directory("library");
  std::ofstream(folder + "/shop.cpp")
      << "namespace shop {\n"
         "struct Cart { int total(int, const char*) const; };\n"
         "int Cart::total(int n, const char* p) const { return n + *p; }\n"
         "}\n"
         "static __attribute__((noinline)) int hidden(int n) { return n * 3; }\n"
         "extern \"C\" int exported(int n) { return hidden(n) + 1; }\n"
         "extern \"C\" int __alias_of_exported(int) __attribute__((alias(\"exported\")));\n";
  const auto built = testing::run("c++ -shared -fPIC -O1 -nostdlib -Wl,--build-id=0x0123456789abcdef " +
                                  flags + " -o '" + folder + "/" + name + "' '" + folder + "/shop.cpp'");
  EXPECT_EQ(built.status, 0) << built.output;
  return folder + "/" + name;
}

uint64_t address_of(const std::string& path, const std::string& symbol) {
  const auto found = testing::run("nm '" + path + "' | grep ' " + symbol + "$'");
  return found.status == 0 ? std::stoull(found.output, nullptr, 16) : 0;
}

std::string name_at(Binary& binary, uint64_t vaddr, bool is_return = false) {
  const auto frames = binary.lookup(vaddr, is_return);
  return frames.size() == 1 ? frames[0].function : "(" + std::to_string(frames.size()) + " frames)";
}

TEST(Elf, NamesFunctionsOfASharedLibrary) {
  const std::string full = build_library("", "full.so");
  const std::string stripped = build_library("-s", "stripped.so");
  const uint64_t total = address_of(full, "_ZNK4shop4Cart5totalEiPKc"),
                 hidden = address_of(full, "_ZL6hiddeni"), exported = address_of(full, "exported");
  ASSERT_TRUE(total != 0 && hidden != 0 && exported != 0);

  const Bytes bytes = load_file(full);
  auto binary = open(bytes, bytes->size());
  ASSERT_TRUE(binary) << binary.error().message();
  EXPECT_EQ((*binary)->facts().machine, "x86-64");
  EXPECT_EQ((*binary)->facts().build_id, "0123456789abcdef");
  EXPECT_EQ((*binary)->facts().go_build_id, "");
  EXPECT_FALSE((*binary)->facts().stripped);
  EXPECT_FALSE((*binary)->facts().go.has_value());
  EXPECT_EQ(name_at(**binary, total), "shop::Cart::total(int, char const*) const");
  EXPECT_EQ(name_at(**binary, total + 1), "shop::Cart::total(int, char const*) const");
  EXPECT_EQ(name_at(**binary, hidden), "hidden(int)");
  EXPECT_EQ(name_at(**binary, exported), "exported") << "and not its alias";
  // A return address at the start of a function belongs to the call before it.
  EXPECT_NE(name_at(**binary, total, true), "shop::Cart::total(int, char const*) const");
  EXPECT_EQ(name_at(**binary, total + 1, true), "shop::Cart::total(int, char const*) const");
  EXPECT_TRUE((*binary)->lookup(0x7fffffff, false).empty());

  // The linker gives code the same address in the file and in memory here, or not: the offset finds the same
  // name.
  const auto offset = (*binary)->elf().offset_of(total);
  ASSERT_TRUE(offset.has_value());
  EXPECT_EQ((*binary)->elf().vaddr_of(*offset), total);
  EXPECT_EQ((*binary)->lookup_offset(*offset, false).at(0).function,
            "shop::Cart::total(int, char const*) const");

  const Bytes less = load_file(stripped);
  auto bare = open(less, less->size());
  ASSERT_TRUE(bare);
  EXPECT_TRUE((*bare)->facts().stripped);
  EXPECT_EQ(name_at(**bare, exported), "exported");
  EXPECT_TRUE((*bare)->lookup(hidden, false).empty()) << "what has no name is not named after its neighbour";
}

TEST(Elf, SaysWhichMachineAFileIsFor) {
  const auto header = [](unsigned char bits, unsigned char order, uint8_t low, uint8_t high) {
    std::vector<std::byte> bytes(64);
    const unsigned char ident[] = {0x7f, 'E', 'L', 'F', bits, order, 1};
    std::memcpy(bytes.data(), ident, sizeof ident);
    bytes[18] = std::byte{low};
    bytes[19] = std::byte{high};
    return bytes;
  };
  const auto check = [](const std::vector<std::byte>& bytes, const std::string& machine) {
    MemoryBytes source(bytes);
    const auto name = elf_machine(source);
    ASSERT_TRUE(name);
    EXPECT_EQ(*name, machine);
    const auto opened = Binary::open(std::make_unique<MemoryBytes>(bytes));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::kEnvironment);
    EXPECT_EQ(opened.error().message(), "an ELF file for " + machine + ", not for x86-64");
  };
  check(header(1, 1, 3, 0), "i386");
  check(header(2, 1, 183, 0), "aarch64");
  check(header(1, 1, 62, 0), "x32");
  check(header(2, 2, 0, 22), "s390x");
  MemoryBytes text({std::byte{'#'}, std::byte{'!'}});
  EXPECT_FALSE(elf_machine(text));
  EXPECT_EQ(Binary::open(std::make_unique<MemoryBytes>(std::vector<std::byte>(4096))).error().message(),
            "not an ELF file");
}

TEST(Damage, AnElfFileCutAnywhere) {
  const std::string path = build_library("", "full.so");
  const Bytes bytes = load_file(path);
  const uint64_t total = address_of(path, "_ZNK4shop4Cart5totalEiPKc");
  size_t opened = 0, named = 0;
  for (uint64_t size = 0; size < bytes->size(); ++size) {
    auto binary = open(bytes, size);
    if (!binary) continue;
    ++opened;
    // The section headers are the last thing in the file: without all of them there are no names, and never
    // wrong ones.
    for (const auto& frame : (*binary)->lookup(total, false)) {
      ++named;
      EXPECT_EQ(frame.function, "shop::Cart::total(int, char const*) const");
    }
  }
  EXPECT_GT(opened, bytes->size() / 2);
  EXPECT_EQ(named, 0u);
}

TEST(Damage, EveryByteOfAnElfFileChanged) {
  const std::string path = build_library("", "full.so");
  const Bytes bytes = load_file(path);
  const uint64_t total = address_of(path, "_ZNK4shop4Cart5totalEiPKc");
  size_t unharmed = 0;
  for (uint64_t at = 0; at < bytes->size(); ++at) {
    for (const unsigned mask : {0xffu, 0x80u, 0x01u}) {
      auto binary = open(bytes, bytes->size(), {{at, (*bytes)[at] ^ static_cast<std::byte>(mask)}});
      if (!binary) continue;
      for (const uint64_t vaddr : {total, total + 1, uint64_t{0}, ~uint64_t{0}})
        (*binary)->lookup(vaddr, true);
      const auto frames = (*binary)->lookup_offset(total, false);
      unharmed +=
          !frames.empty() && frames[0].function == "shop::Cart::total(int, char const*) const" ? 1 : 0;
    }
  }
  EXPECT_GT(unharmed, bytes->size()) << "most bytes do not matter";
}

std::string build_go(const std::string& flags, const std::string& name) {
  const std::string folder = testing::scratch_directory("go");
  std::ofstream(folder + "/main.go") << "package main\n\n"
                                        "func add(n int) int { leaf(); return n + 1 }\n\n"
                                        "//go:noinline\n"
                                        "func leaf() { names++ }\n\n"
                                        "//go:noinline\n"
                                        "func work(n int) int { return add(n) * 2 }\n\n"
                                        "var names int\n\n"
                                        "func main() { println(work(1)) }\n";
  const auto built = testing::run(
      "cd '" + folder + "' && CGO_ENABLED=0 '" MEMWHY_TEST_DATA "/workloads/go_release' go1.26.8 build " +
      flags + " -o " + name + " main.go");
  EXPECT_EQ(built.status, 0) << built.output;
  return folder + "/" + name;
}

struct GoFile {
  Bytes bytes;
  uint64_t work = 0;                                       // address of main.work
  uint64_t table = 0, info = 0, data = 0, data_bytes = 0;  // in the file
};

GoFile go_file(const std::string& flags, const std::string& name) {
  const std::string path = build_go(flags, name);
  GoFile file;
  file.bytes = load_file(path);
  file.work = address_of(path, "main\\.work");
  MemoryBytes source(*file.bytes);
  const auto elf = ElfFile::parse(source);
  for (const Section& section : elf->sections()) {
    if (section.name.ends_with(".gopclntab")) file.table = section.offset;
    if (section.name == ".go.buildinfo") file.info = section.offset;
    if (section.name == ".go.module" || (section.name == ".noptrdata" && file.data == 0)) {
      file.data = section.offset;
      file.data_bytes = section.bytes;
    }
  }
  return file;
}

std::string frames_text(Binary& binary, uint64_t vaddr) {
  std::string text;
  for (const auto& frame : binary.lookup(vaddr, false))
    text += frame.function + ":" + std::to_string(frame.line) + " ";
  return text;
}

// The inlined call is somewhere in the function: the first address that has it.
std::string deepest(Binary& binary, uint64_t vaddr) {
  std::string best;
  for (uint64_t at = vaddr; at < vaddr + 64; ++at) {
    const std::string text = frames_text(binary, at);
    if (text.ends_with("main.work:9 ") && text.size() > best.size()) best = text;
  }
  return best;
}

TEST(Go, WithoutASectionTable) {
  for (const std::string flags : {"", "-buildmode=pie"}) {
    const GoFile file = go_file(flags, flags.empty() ? "plain" : "pie");
    auto whole = open(file.bytes, file.bytes->size());
    std::vector<std::pair<uint64_t, std::byte>> no_sections;
    for (const size_t at : {40, 41, 42, 43, 44, 45, 46, 47, 60, 61, 62, 63})
      no_sections.emplace_back(at, std::byte{0});
    auto bare = open(file.bytes, file.bytes->size(), no_sections);
    ASSERT_TRUE(whole && bare);
    EXPECT_TRUE((*bare)->elf().sections().empty());
    ASSERT_TRUE((*bare)->facts().go && (*whole)->facts().go);
    EXPECT_EQ((*bare)->facts().go->version, (*whole)->facts().go->version);
    EXPECT_FALSE((*bare)->facts().go->race);
    EXPECT_EQ((*bare)->facts().go_build_id, (*whole)->facts().go_build_id);
    EXPECT_NE((*bare)->facts().go_build_id, "");
    EXPECT_TRUE((*bare)->facts().stripped);
    EXPECT_EQ(deepest(**whole, file.work), "main.add:3 main.work:9 ");
    EXPECT_EQ(deepest(**bare, file.work), "main.add:3 main.work:9 ");
  }
}

TEST(Go, WithoutBuildInfo) {
  const GoFile file = go_file("", "plain");
  auto whole = open(file.bytes, file.bytes->size());
  auto bare = open(file.bytes, file.bytes->size(), {{file.info, std::byte{0}}});
  ASSERT_TRUE(whole && bare);
  ASSERT_TRUE((*bare)->facts().go.has_value());
  EXPECT_EQ((*bare)->facts().go->version, (*whole)->facts().go->version);
  EXPECT_FALSE((*bare)->facts().go->race);
}

TEST(Go, WithoutModuledata) {
  // The header's or the section's idea of where the text begins is believed when the entry point confirms it.
  const GoFile file = go_file("", "plain");
  ASSERT_NE(file.data, 0u);
  MemoryBytes source(*file.bytes);
  const auto elf = ElfFile::parse(source);
  const uint64_t table_vaddr = *elf->vaddr_of(file.table);
  std::vector<std::pair<uint64_t, std::byte>> changes;
  for (const Segment& segment : elf->segments()) {
    if (!segment.write) continue;
    for (uint64_t at : find_bytes(source, segment.offset, segment.offset + segment.file_bytes,
                                  std::as_bytes(std::span(&table_vaddr, 1)), 8, 16)) {
      changes.emplace_back(at, std::byte{0xee});
    }
  }
  ASSERT_FALSE(changes.empty());
  auto bare = open(file.bytes, file.bytes->size(), changes);
  ASSERT_TRUE(bare);
  EXPECT_EQ(frames_text(**bare, file.work), "main.work:9 ");
  EXPECT_EQ(deepest(**bare, file.work), "main.work:9 ") << "inlined calls cannot be known then";
}

TEST(Damage, AGoProgramCutAnywhere) {
  const GoFile file = go_file("-ldflags='-s -w'", "stripped");
  const GoFile plain = go_file("", "plain");
  for (uint64_t size = 0; size < file.bytes->size(); size += 1021) {
    auto binary = open(file.bytes, size);
    if (!binary) continue;
    const std::string text = frames_text(**binary, plain.work);
    EXPECT_TRUE(text.empty() || text == "main.work:9 ") << size << ": " << text;
  }
}

TEST(Damage, BytesOfAGoProgramChanged) {
  const GoFile file = go_file("", "plain");
  ASSERT_TRUE(file.table != 0 && file.info != 0 && file.data != 0 && file.work != 0);
  std::mt19937_64 random(20260101);
  const auto flip = [&](uint64_t at) {
    auto binary = open(file.bytes, file.bytes->size(), {{at, static_cast<std::byte>(random())}});
    if (!binary) return;
    for (uint64_t vaddr = file.work; vaddr < file.work + 64; vaddr += 9) (*binary)->lookup(vaddr, false);
  };
  for (uint64_t at = 0; at < 1024; ++at) flip(at);                       // headers
  for (uint64_t at = file.table; at < file.table + 128; ++at) flip(at);  // header of the table
  for (uint64_t at = file.info; at < file.info + 64; ++at) flip(at);     // build info
  for (uint64_t at = file.data; at < file.data + std::min<uint64_t>(file.data_bytes, 512); ++at) flip(at);
  const uint64_t rest = file.bytes->size() - file.table;
  for (int i = 0; i < 1000; ++i) flip(file.table + random() % rest);
}

TEST(Damage, RecordsOfOneFunctionChanged) {
  // Every byte that a lookup reads, found by watching it read.
  class Watched final : public ByteSource {
   public:
    Watched(Bytes bytes, std::vector<uint64_t>& reads) : bytes_(std::move(bytes)), reads_(reads) {}
    uint64_t size() const override { return bytes_->size(); }
    Status read_at(uint64_t offset, std::span<std::byte> out) override {
      if (offset > size() || out.size() > size() - offset) return Error(ErrorCode::kBadInput, "outside");
      std::copy_n(bytes_->begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
      if (out.size() <= 256) {
        for (uint64_t i = 0; i < out.size(); ++i) reads_.push_back(offset + i);
      }
      return {};
    }

   private:
    Bytes bytes_;
    std::vector<uint64_t>& reads_;
  };
  const GoFile file = go_file("", "plain");
  std::vector<uint64_t> reads;
  Watched watched(file.bytes, reads);
  const auto elf = ElfFile::parse(watched);
  const auto table = GoLineTable::find(watched, *elf, true);
  ASSERT_TRUE(table && table->inlining_known());
  reads.clear();
  for (uint64_t vaddr = file.work; vaddr < file.work + 48; vaddr += 4) (void)table->lookup(watched, vaddr);
  std::sort(reads.begin(), reads.end());
  reads.erase(std::unique(reads.begin(), reads.end()), reads.end());
  ASSERT_GT(reads.size(), 200u);
  for (const uint64_t at : reads) {
    for (const unsigned mask : {0xffu, 0x80u, 0x01u}) {
      ChangedBytes changed(file.bytes, file.bytes->size(),
                           {{at, (*file.bytes)[at] ^ static_cast<std::byte>(mask)}});
      for (uint64_t vaddr = file.work; vaddr < file.work + 48; vaddr += 4) {
        EXPECT_LE(table->lookup(changed, vaddr).size(), 257u);
      }
    }
  }
}

TEST(GoBuildInfo, SettingsAreUnquoted) {
  const std::string path = build_go("-ldflags='-s -w -X main.x=y'", "flags");
  MemoryBytes source(testing::file_bytes(path));
  const auto elf = ElfFile::parse(source);
  ASSERT_TRUE(elf);
  const auto info = read_go_build_info(source, *elf);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->module, "command-line-arguments");
  EXPECT_EQ(info->setting("-ldflags"), "-s -w -X main.x=y");
  EXPECT_EQ(info->setting("CGO_ENABLED"), "0");
  EXPECT_EQ(info->setting("GOARCH"), "amd64");
  EXPECT_EQ(info->setting("-race"), "");
}

TEST(Demangle, CppAndRust) {
  EXPECT_EQ(demangle("main"), "main");
  EXPECT_EQ(demangle("_init"), "_init");
  EXPECT_EQ(demangle("_ZN3foo3barEi"), "foo::bar(int)");
  EXPECT_EQ(demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)");
  EXPECT_EQ(demangle("_ZN3foo3barEi.cold"), "foo::bar(int) [clone .cold]");
  EXPECT_EQ(demangle("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE"), "core::fmt::Formatter::pad");
  EXPECT_EQ(demangle("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
                     "3bar17h930b740aa94f1d3aE"),
            "<Test + 'static as foo::Bar<Test>>::bar");
  EXPECT_EQ(demangle("_RNvC6_123foo3bar"), "123foo::bar");
  EXPECT_EQ(demangle("_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate"),
            "<std::path::PathBuf>::new");
  EXPECT_EQ(demangle("_ZN3foo"), "_ZN3foo");
  EXPECT_EQ(demangle("_R"), "_R");
  EXPECT_EQ(demangle("_Z" + std::string(100000, 'P')), "_Z" + std::string(100000, 'P'));
  // Each substitution doubles the name: the text is cut, and it ends.
  std::string bomb = "_Z1f1AI1BE";
  for (int i = 0; i < 30; ++i)
    bomb += "S" + std::string(i == 0 ? "" : std::string(1, static_cast<char>('0' + i % 10))) + "_";
  EXPECT_LE(demangle(bomb).size(), 4096u);
}

TEST(Bytes, BlocksAreReadOnceAndDropped) {
  std::vector<std::byte> bytes(5 * BlockCache::kBlockBytes + 100);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 7);
  BlockCache cache(std::make_unique<MemoryBytes>(bytes), 2 * BlockCache::kBlockBytes);
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t length = random() % 40000;
    const uint64_t offset = random() % (bytes.size() + 1);
    std::vector<std::byte> out(length);
    const bool inside = length <= bytes.size() - offset;
    ASSERT_EQ(cache.read_at(offset, out).ok(), inside);
    if (inside) {
      ASSERT_TRUE(std::equal(out.begin(), out.end(), bytes.begin() + static_cast<ptrdiff_t>(offset)));
    }
    ASSERT_LE(cache.held_bytes(), 2 * BlockCache::kBlockBytes);
  }
  EXPECT_FALSE(cache.read_at(~uint64_t{0}, std::span<std::byte>(bytes.data(), 2)).ok());
}

TEST(Bytes, FindsAcrossWindows) {
  std::string text(3 << 20, 'x');
  const std::vector<uint64_t> places = {0, (1 << 20) - 3, (1 << 20) + 5, (2 << 20) - 8, (3 << 20) - 6};
  for (uint64_t at : places) text.replace(at, 6, "needle");
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  MemoryBytes source({first, first + text.size()});
  const std::string_view needle = "needle";
  EXPECT_EQ(find_bytes(source, 0, text.size(), std::as_bytes(std::span(needle)), 1, 100), places);
  EXPECT_EQ(find_bytes(source, 0, text.size(), std::as_bytes(std::span(needle)), 8, 100),
            (std::vector<uint64_t>{0, (2 << 20) - 8}));
  EXPECT_EQ(find_bytes(source, 0, text.size(), std::as_bytes(std::span(needle)), 1, 2).size(), 2u);
}

}  // namespace
}  // namespace memwhy::symbols
