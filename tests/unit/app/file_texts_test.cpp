// SPDX-License-Identifier: Apache-2.0
// Texts of allocators in files that this process has mapped.
#include "app/file_texts.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "procfs/process.h"
#include "procfs/root.h"
#include "symbols/local_binaries.h"

namespace memwhy::app {
namespace {

// Counts what is read.
class Counting final : public symbols::Binaries {
 public:
  Result<symbols::OpenedBinary> open_mapping(Pid tgid, const events::Vma& vma) override {
    return files_.open_mapping(tgid, vma);
  }
  Result<symbols::OpenedBinary> open_executable(Pid tgid) override { return files_.open_executable(tgid); }
  Result<symbols::ProbedFile> file_to_probe(const symbols::ProcessFile& file) override {
    return files_.file_to_probe(file);
  }
  Result<uint64_t> file_system(Pid tgid, const events::Vma& mapping) override {
    return files_.file_system(tgid, mapping);
  }
  Result<std::vector<symbols::SourceFrames>> look_up(symbols::BinaryHandle binary,
                                                     std::span<const symbols::CodeOffset> at) override {
    return files_.look_up(binary, at);
  }
  Result<symbols::ProgramFacts> program(symbols::BinaryHandle binary,
                                        const symbols::ProgramQuestion& question) override {
    return files_.program(binary, question);
  }
  Result<std::vector<symbols::SourceFrames>> code_names(Pid tgid,
                                                        std::span<const symbols::CodeOffset> at) override {
    return files_.code_names(tgid, at);
  }
  Result<std::vector<symbols::FunctionRules>> frame_rules(symbols::BinaryHandle binary,
                                                          std::span<const symbols::CodeOffset> at) override {
    return files_.frame_rules(binary, at);
  }
  Result<symbols::OpenedBinary> vdso() override { return files_.vdso(); }
  Result<std::vector<std::byte>> read(symbols::BinaryHandle binary, uint64_t offset, size_t bytes) override {
    ++reads;
    return files_.read(binary, offset, bytes);
  }
  size_t reads = 0;

 private:
  symbols::LocalBinaries files_{Fd(::open("/proc", O_PATH | O_DIRECTORY))};
};

// A copy of libc with something behind it, mapped as a library is.
class Library {
 public:
  explicit Library(const std::string& text, size_t at = 3 << 20) {
    const int file = ::memfd_create("library", MFD_CLOEXEC);
    std::ifstream from(libc_path(), std::ios::binary);
    const std::string libc{std::istreambuf_iterator<char>(from), {}};
    bytes_ = std::max(at, libc.size()) + text.size();
    EXPECT_EQ(::write(file, libc.data(), libc.size()), static_cast<ssize_t>(libc.size()));
    EXPECT_EQ(::pwrite(file, text.data(), text.size(), static_cast<off_t>(bytes_ - text.size())),
              static_cast<ssize_t>(text.size()));
    code_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
    data_ = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    ::close(file);
  }
  ~Library() {
    ::munmap(code_, bytes_);
    ::munmap(data_, 4096);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  uint64_t data() const { return reinterpret_cast<uint64_t>(data_); }

 private:
  static std::string libc_path() {
    Dl_info info{};
    ::dladdr(reinterpret_cast<void*>(&::getpid), &info);
    return info.dli_fname;
  }
  size_t bytes_ = 0;
  void *code_ = nullptr, *data_ = nullptr;
};

class FileTextsTest : public testing::Test {
 protected:
  std::optional<bool> has(const Library& library, FileTexts::Text text) {
    Result<procfs::Root> root = procfs::Root::open("/proc");
    Result<procfs::Process> process = procfs::Process::open(*root, ::getpid());
    const std::vector<events::Vma> vmas = *process->vmas();
    const auto of = std::ranges::find_if(
        vmas, [&](const events::Vma& vma) { return vma.range.contains(library.data()); });
    return of == vmas.end() ? std::nullopt : texts_.has(::getpid(), vmas, *of, text);
  }

  Counting files_;
  FileTexts texts_{files_};
};

TEST_F(FileTextsTest, AreFoundWhereTheyAre) {
  const Library jemalloc("<jemalloc>: Error"), tcmalloc("src/tcmalloc.cc"), neither("<je malloc>");
  EXPECT_EQ(has(jemalloc, FileTexts::kJemalloc), true);
  EXPECT_EQ(has(jemalloc, FileTexts::kTcmalloc), false);
  EXPECT_EQ(has(tcmalloc, FileTexts::kTcmalloc), true);
  EXPECT_EQ(has(tcmalloc, FileTexts::kJemalloc), false);
  EXPECT_EQ(has(neither, FileTexts::kJemalloc), false);
  EXPECT_EQ(has(neither, FileTexts::kTcmalloc), false);
}

// Files are read by the MiB.
TEST_F(FileTextsTest, AreFoundAcrossTwoReadings) {
  for (size_t before = 0; before < 48; before += 4)
    EXPECT_EQ(has(Library("<jemalloc>", (3 << 20) - before), FileTexts::kJemalloc), true) << before;
}

TEST_F(FileTextsTest, AFileIsReadOnce) {
  const Library library("nothing");
  EXPECT_EQ(has(library, FileTexts::kTcmalloc), false);
  const size_t first = files_.reads;
  EXPECT_GT(first, 0u);
  EXPECT_EQ(has(library, FileTexts::kJemalloc), false);
  EXPECT_EQ(files_.reads, first);
}

TEST_F(FileTextsTest, WhatCannotBeOpenedIsNotKnown) {
  events::Vma gone;
  gone.name = "/gone";
  gone.inode = gone.device = 1;
  gone.range = {0x10000, 0x20000};
  EXPECT_EQ(texts_.has(::getpid(), {gone}, gone, FileTexts::kJemalloc), std::nullopt);
}

}  // namespace
}  // namespace memwhy::app
