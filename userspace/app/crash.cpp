// SPDX-License-Identifier: Apache-2.0
#include "app/crash.h"

#include <elf.h>
#include <execinfo.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

extern "C" {
extern const ElfW(Ehdr) __ehdr_start
    __attribute__((visibility("hidden")));  // the linker's: where the program begins
extern const char etext;                    // and where its code ends
}

namespace memwhy::app {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 5> kCrashSignals{
    {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"}}};
constexpr int kMostFrames = 32;
constexpr int kHandlerFrames = 2;  // this handler, and the kernel's return from it
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr size_t kAlternateStack = 64 << 10;

// Written at once: it may not allocate, and may be called in any state of the program.
class CrashText {
 public:
  CrashText& operator<<(std::string_view more) {
    const size_t length = std::min(more.size(), bytes_.size() - used_);
    std::memcpy(bytes_.data() + used_, more.data(), length);
    used_ += length;
    return *this;
  }
  CrashText& hex(uint64_t value, int least_digits = 1) {
    int digits = 16;
    while (digits > least_digits && value >> 4 * (digits - 1) == 0) --digits;
    while (digits-- > 0) *this << std::string_view(&"0123456789abcdef"[value >> 4 * digits & 15], 1);
    return *this;
  }
  void write() const { static_cast<void>(!::write(STDERR_FILENO, bytes_.data(), used_)); }

 private:
  std::array<char, 2048> bytes_{};
  size_t used_ = 0;
};

// Notes of one alignment are in one segment: the build id's may be any.
void add_build_id(CrashText& text, const unsigned char* notes, size_t bytes) {
  const auto padded = [](size_t length) { return (length + 3) & ~size_t{3}; };
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= bytes;) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes + at, sizeof note);
    const size_t id = at + sizeof note + padded(note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID)
      for (size_t i = 0; i < note.n_descsz; ++i) text.hex(notes[id + i], 2);
    at = id + padded(note.n_descsz);
  }
}

void add_build_id(CrashText& text) {
  const auto* const start = reinterpret_cast<const unsigned char*>(&__ehdr_start);
  const auto* const headers = reinterpret_cast<const ElfW(Phdr)*>(start + __ehdr_start.e_phoff);
  for (size_t i = 0; i < __ehdr_start.e_phnum; ++i)
    if (headers[i].p_type == PT_NOTE) add_build_id(text, start + headers[i].p_vaddr, headers[i].p_memsz);
}

void on_crash(int signal) {
  CrashText text;
  text << "memwhy: a bug in memwhy " MEMWHY_VERSION " ended it (";
  for (const auto& [number, name] : kCrashSignals)
    if (number == signal) text << name;
  text << "). A file that it recorded to is readable up to then. Please report these lines:\nmemwhy: build ";
  add_build_id(text);
  text << ", at";
  std::array<void*, kMostFrames> frames{};
  const int count = ::backtrace(frames.data(), kMostFrames);
  const auto base = reinterpret_cast<uint64_t>(&__ehdr_start);
  for (int i = kHandlerFrames; i < count; ++i) {
    const uint64_t at = reinterpret_cast<uint64_t>(frames[static_cast<size_t>(i)]) - base;
    if (at < reinterpret_cast<uint64_t>(&etext) - base)
      (text << " +0x").hex(at);
    else
      text << " (a library)";
  }
  (text << "\n").write();
  ::raise(signal);  // the handler is gone: this is how it ends
}

}  // namespace

void report_crashes() {
  if (kSanitized) return;
  void* frame = nullptr;
  static_cast<void>(::backtrace(&frame, 1));  // loads the unwinder, which a handler must not
  // For the main thread, whose own may be what is used up.
  static std::array<std::byte, kAlternateStack> stack;
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  static_cast<void>(::sigaltstack(&alternate, nullptr));
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  for (const auto& [signal, name] : kCrashSignals) static_cast<void>(::sigaction(signal, &action, nullptr));
}

}  // namespace memwhy::app
