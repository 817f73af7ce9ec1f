// SPDX-License-Identifier: Apache-2.0
// Names of functions that a stripped file does not name: by what it carries packed, by the file that a distribution keeps
// apart, and else never a neighbour's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "symbols/local_binaries.h"
#include "unit/symbols/target.h"

namespace memwhy::symbols {
namespace {

namespace fs = std::filesystem;
using testing::run;

// In assembly too: a function without a size, and code behind it that has an unwind entry of its own.
constexpr const char* kSource = R"(
#define LOCAL static __attribute__((noinline, noclone, used))
volatile int sum;
__attribute__((visibility("default"))) int first(int n) { return n + sum; }
LOCAL int hidden_one(int n) { sum += n; return sum * 3; }
LOCAL int hidden_two(int n) { sum -= n; return sum * 5; }
__attribute__((visibility("default"))) int last(int n) { return hidden_one(n) + hidden_two(n); }
__asm__(".text\n.globl unsized\n.type unsized,@function\nunsized:\n.cfi_startproc\nnop\nret\n.cfi_endproc\n"
        "behind_it:\n.cfi_startproc\nnop\nnop\nret\n.cfi_endproc\n"
        ".section .note.GNU-stack,\"\",@progbits\n.text\n");
)";

class LocalFunctions : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::scratch_directory("library");
    std::ofstream(folder_ + "/library.c") << kSource;
    make(
        "gcc -O1 -shared -fPIC -fvisibility=hidden -fno-toplevel-reorder -Wl,--build-id library.c -o "
        "whole.so");
    make("objcopy --strip-all whole.so stripped.so");
    const auto names = run("cd '" + folder_ + "' && nm whole.so");
    for (const std::string& line : testing::split(names.output, '\n')) {
      const auto fields = testing::split(line, ' ');
      if (fields.size() == 3) at_[fields[2]] = std::stoull(fields[0], nullptr, 16);
    }
    ASSERT_TRUE(at_.contains("hidden_one") && at_.contains("behind_it"));
  }
  void make(const std::string& command) {
    const auto made = run("cd '" + folder_ + "' && " + command);
    ASSERT_EQ(made.status, 0) << made.output;
  }
  std::unique_ptr<Binary> open(const std::string& name) {
    auto binary = Binary::open(bytes(name));
    EXPECT_TRUE(binary) << binary.error().message();
    return binary ? std::move(*binary) : nullptr;
  }
  std::unique_ptr<ByteSource> bytes(const std::string& name) {
    auto file = FileBytes::open(Fd(::open((folder_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC)), 1 << 30);
    return file ? std::move(*file) : nullptr;
  }
  std::string name_of(Binary& binary, const std::string& function, uint64_t byte = 1) {
    const auto frames = binary.lookup(at_[function] + byte, false);
    return frames.empty() ? "" : frames.front().function;
  }

  std::string folder_;
  std::map<std::string, uint64_t> at_;
};

TEST_F(LocalFunctions, AreNeverTheirNeighbours) {
  const auto whole = open("whole.so"), stripped = open("stripped.so");
  EXPECT_EQ(name_of(*whole, "hidden_two"), "hidden_two");
  EXPECT_EQ(name_of(*stripped, "first"), "first");
  EXPECT_EQ(name_of(*stripped, "last"), "last");
  const std::string expected = "local function after first+0x";
  for (const std::string name : {"hidden_one", "hidden_two"}) {
    const std::string got = name_of(*stripped, name);
    EXPECT_EQ(got.substr(0, expected.size()), expected);
    EXPECT_EQ(name_of(*stripped, name, 3), got) << "one text for all of the function";
    EXPECT_EQ(std::stoull(got.substr(expected.size()), nullptr, 16), at_[name] - at_["first"]);
  }
  EXPECT_NE(name_of(*stripped, "hidden_one"), name_of(*stripped, "hidden_two"));
  EXPECT_EQ(name_of(*stripped, "unsized", 0), "unsized");
  EXPECT_EQ(name_of(*stripped, "behind_it").substr(0, 31), "local function after unsized+0x");
}

TEST_F(LocalFunctions, AreNamedByPackedSymbols) {
  make(
      "objcopy --only-keep-debug whole.so debug && objcopy -S --remove-section .comment "
      "--keep-symbol=hidden_one --keep-symbol=hidden_two --keep-symbol=behind_it debug mini && "
      "xz -kf mini && objcopy --add-section .gnu_debugdata=mini.xz stripped.so packed.so");
  const auto packed = open("packed.so");
  EXPECT_EQ(name_of(*packed, "hidden_one"), "hidden_one");
  EXPECT_EQ(name_of(*packed, "hidden_two", 4), "hidden_two");
  EXPECT_EQ(name_of(*packed, "first"), "first");
  // Damaged: as if it were not there.
  make("head -c 200 mini.xz > cut.xz && objcopy --add-section .gnu_debugdata=cut.xz stripped.so damaged.so");
  EXPECT_EQ(name_of(*open("damaged.so"), "hidden_one").substr(0, 21), "local function after ");
}

TEST_F(LocalFunctions, APackedBombIsNotUnpacked) {
  make(
      "head -c 300000000 /dev/zero | xz -0 > bomb.xz && objcopy --add-section .gnu_debugdata=bomb.xz "
      "stripped.so bomb.so");
  const auto bomb = open("bomb.so");
  EXPECT_EQ(name_of(*bomb, "hidden_one").substr(0, 21), "local function after ");
  EXPECT_LT(bomb->memory_bytes(), size_t{16} << 20);
}

TEST_F(LocalFunctions, AreNamedByTheFileOfTheSameBuild) {
  make("objcopy --only-keep-debug whole.so debug");
  const auto stripped = open("stripped.so");
  EXPECT_TRUE(stripped->add_symbols(bytes("debug")));
  EXPECT_EQ(name_of(*stripped, "hidden_two"), "hidden_two");
  make(
      "sed 's/sum \\* 3/sum * 7/' library.c > other.c && gcc -O1 -shared -fPIC -fvisibility=hidden "
      "-Wl,--build-id "
      "other.c -o other.so");
  const auto again = open("stripped.so");
  EXPECT_FALSE(again->add_symbols(bytes("other.so"))) << "another build";
  EXPECT_FALSE(again->add_symbols(bytes("library.c")));
  EXPECT_EQ(name_of(*again, "hidden_two").substr(0, 21), "local function after ");
}

TEST(DebugFiles, HaveTheirPlaces) {
  const std::vector<std::string> mine = {"/srv/debug"};
  const std::vector<DebugFilePlace> all = debug_file_places("/usr/bin/web", "abcdef01", "web.debug", mine);
  const std::vector<DebugFilePlace> expected = {{false, "/srv/debug/.build-id/ab/cdef01.debug"},
                                                {false, "/srv/debug/usr/bin/web.debug"},
                                                {true, "/usr/lib/debug/.build-id/ab/cdef01.debug"},
                                                {true, "/usr/bin/web.debug"},
                                                {true, "/usr/bin/.debug/web.debug"},
                                                {true, "/usr/lib/debug/usr/bin/web.debug"},
                                                {false, "/usr/lib/debug/.build-id/ab/cdef01.debug"}};
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(debug_file_places("/usr/bin/web", "", "", mine).empty());
  EXPECT_TRUE(debug_file_places("/usr/bin/web", "../../etc", "", mine).empty()) << "no build id";
  EXPECT_TRUE(debug_file_places("[vdso]", "", "vdso.debug", {}).empty()) << "no path";
}

TEST_F(LocalFunctions, ALinkNamesAFileAndNoPath) {
  make(
      "objcopy --only-keep-debug whole.so web.debug && objcopy --add-gnu-debuglink=web.debug stripped.so "
      "linked.so");
  EXPECT_EQ(open("linked.so")->facts().debug_link, "web.debug");
  EXPECT_EQ(open("stripped.so")->facts().debug_link, "");
  for (const std::string name : {"..", "a/b", ""}) {
    make("printf '" + name +
         "\\0\\0\\0\\0\\1\\2\\3\\4' > link && objcopy --add-section .gnu_debuglink=link stripped.so odd.so");
    EXPECT_EQ(open("odd.so")->facts().debug_link, "") << name;
  }
  make("printf 'whole.debug' > link && objcopy --add-section .gnu_debuglink=link stripped.so odd.so");
  EXPECT_EQ(open("odd.so")->facts().debug_link, "") << "without an end, and without a CRC";
}

// Of a program without a build id the link's CRC decides.
TEST_F(LocalFunctions, ALinkedFileHasItsCrc) {
  make(
      "objcopy --remove-section .note.gnu.build-id whole.so anonymous.so && objcopy --only-keep-debug "
      "anonymous.so "
      "anonymous.debug && objcopy --strip-all --add-gnu-debuglink=anonymous.debug anonymous.so linked.so");
  const auto linked = open("linked.so");
  ASSERT_EQ(linked->facts().build_id, "");
  make("cp anonymous.debug other.debug && printf x >> other.debug");
  EXPECT_FALSE(linked->add_symbols(bytes("other.debug"))) << "one byte more";
  EXPECT_EQ(name_of(*linked, "hidden_one").substr(0, 21), "local function after ");
  EXPECT_TRUE(linked->add_symbols(bytes("anonymous.debug")));
  EXPECT_EQ(name_of(*linked, "hidden_one"), "hidden_one");
}

TEST_F(LocalFunctions, AStrippedFileOfTheSameBuildHasNone) {
  EXPECT_FALSE(open("stripped.so")->add_symbols(bytes("stripped.so")));
}

// A process below a root of its own, whose program is stripped: by what name its function is called there.
class Rooted : public LocalFunctions {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "chroot is for root";
    folder_ = testing::scratch_directory("rooted");
    std::ofstream(folder_ + "/program.c")
        << "#include <stdio.h>\n#include <unistd.h>\n"
           "static __attribute__((noinline)) int hidden(int n) { return n * getppid(); }\n"
           "int main(void) { printf(\"%p\\ndone\\n\", (void *)hidden); fflush(stdout);\n"
           "return getchar() + hidden(3); }\n";
    make(
        "rm -rf root host && gcc -O1 -static-pie -Wl,--build-id program.c -o program && objcopy "
        "--only-keep-debug program debug && "
        "mkdir -p root/opt host && objcopy --strip-all --add-gnu-debuglink=debug program root/opt/program && "
        "printf '#!/bin/sh\\nexec chroot %s /opt/program\\n' \"$PWD/root\" > run && chmod +x run");
    const std::string id = open("program")->facts().build_id;
    by_build_id_ = ".build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug";
  }
  void keep(const std::string& file, const std::string& at) {
    make("mkdir -p $(dirname " + at + ") && cp " + file + " " + at);
  }
  std::string found(std::vector<std::string> directories = {}) {
    const testing::Target target(folder_ + "/run");
    const uint64_t address = std::stoull(target.lines().at(0), nullptr, 16);
    LocalBinaries binaries(testing::open_proc(), {}, std::move(directories));
    for (const events::Vma& vma : target.vmas()) {
      if (!vma.range.contains(address)) continue;
      const auto opened = binaries.open_mapping(target.pid(), vma);
      if (!opened) return opened.error().message();
      const CodeOffset at{address - vma.range.start + vma.offset, false};
      const auto names = binaries.look_up(opened->handle, std::span(&at, 1));
      return names && names->front().size() == 1 ? names->front().front().function : "nothing";
    }
    return "not mapped";
  }

  std::string by_build_id_;
};

TEST_F(Rooted, EachPlaceIsTried) {
  EXPECT_EQ(found(), "nothing");
  for (const std::string& place :
       {"root/usr/lib/debug/" + by_build_id_, std::string("root/opt/debug"),
        std::string("root/opt/.debug/debug"), std::string("root/usr/lib/debug/opt/debug")}) {
    keep("debug", place);
    EXPECT_EQ(found(), "hidden") << place;
    make("rm " + place);
  }
  keep("debug", "host/" + by_build_id_);
  EXPECT_EQ(found({folder_ + "/host"}), "hidden");
  EXPECT_EQ(found({folder_ + "/none"}), "nothing");
}
// A wrong one hides no right one.
TEST_F(Rooted, OfAnotherBuildIsPassedBy) {
  make(
      "sed 's/n \\* getppid/n + getppid/' program.c > other.c && gcc -O1 -static-pie -Wl,--build-id other.c "
      "-o other");
  keep("other", "root/usr/lib/debug/" + by_build_id_);
  EXPECT_EQ(found(), "nothing");
  keep("debug", "root/opt/debug");
  EXPECT_EQ(found(), "hidden");
}
// What the link names is opened below the root, wherever it leads, and only if it is a file.
TEST_F(Rooted, ALinkOutOfTheRootLeadsIntoIt) {
  make("ln -s ../../../../../../../../.." + folder_ + "/debug root/opt/debug");
  EXPECT_EQ(found(), "nothing");
  make("mkdir root/opt/.debug && mkfifo root/opt/.debug/debug");
  EXPECT_EQ(found(), "nothing");
}

}  // namespace
}  // namespace memwhy::symbols
