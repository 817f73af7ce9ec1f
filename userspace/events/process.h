// SPDX-License-Identifier: Apache-2.0
// Events about processes: address spaces that start and end, the binaries in them, names for their addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace memwhy::events {

enum class StartHow : uint8_t { kAttached, kForked, kExeced };

// An address space that is recorded from now on. Restated with the same id when its identity becomes better
// known.
struct SpaceStart {
  SpaceId space{};
  Pid tgid = 0;
  StartHow how{};
  SpaceId parent{};         // kForked: copied from; kExeced: replaces
  std::string comm, exe;    // exe: the link's text, " (deleted)" kept
  BinaryId exe_binary{};    // kNone until it was read
  uint64_t started_ns = 0;  // process start on CLOCK_BOOTTIME
  std::string cgroup;       // path in the hierarchy that limits memory; "" unknown
  std::string elf_class;    // "x86-64" | "i386" | "aarch64" … of the exe
  bool operator==(const SpaceStart&) const = default;
};

enum class EndWhy : uint8_t { kExited, kExeced, kDetached };

struct SpaceEnd {
  SpaceId space{};
  EndWhy why{};
  bool operator==(const SpaceEnd&) const = default;
};

struct ProcessExit {
  SpaceId space{};
  Pid tgid = 0;
  uint32_t exit_code = 0;             // wait(2) status
  std::optional<uint64_t> rss_bytes;  // from the kernel's counters, where the mm was still there
  bool operator==(const ProcessExit&) const = default;
};

struct OomVictim {
  SpaceId space{};
  Pid tgid = 0;
  bool operator==(const OomVictim&) const = default;
};

// A Go program's build info.
struct GoBuild {
  std::string version;  // "go1.26.8"
  bool race = false, cgo = false;
  std::string default_godebug;
  std::vector<std::string> modules = {};  // that it is linked from besides its own: "modernc.org/memory"
  bool operator==(const GoBuild&) const = default;
};

// A large variable of a program, or a whole section of them where the file names no variables ("" then).
struct ProgramVariable {
  std::string name, section;  // "main.table", ".noptrbss"
  uint64_t bytes = 0;         // virtual
  bool operator==(const ProgramVariable&) const = default;
};

// A part of a program's file that holds code. Debug information knows addresses: file offset 0x1410 is 0x401410 there.
struct CodeSegment {
  uint64_t file_offset = 0, bytes = 0;
  uint64_t vaddr = 0;  // link-time
  bool operator==(const CodeSegment&) const = default;
};

// An ELF file that is mapped into a recorded space. Every fact is from the file itself.
struct BinaryInfo {
  BinaryId id{};
  std::string path;  // as mapped
  uint64_t device = 0, inode = 0;
  std::string build_id;  // hex; "" none
  bool stripped = false;
  bool unreadable = false;  // `problem` has the reason; nothing below is known
  std::string problem;
  std::optional<GoBuild> go;
  std::vector<ProgramVariable> variables = {};  // the largest that can be written, when they are many bytes
  std::vector<CodeSegment> code = {};           // empty: unknown, as in recordings of older versions
  bool operator==(const BinaryInfo&) const = default;
};

// The prefix of the name for a function without one: the last named function before it in its file, and its distance from that
// ("local function after qsort_r+0x1c30").
constexpr std::string_view kLocalFunction = "local function after ";

// A source position. Names are demangled and complete; "" unknown.
struct SourceFrame {
  std::string function;
  std::string file;
  uint32_t line = 0;
  bool operator==(const SourceFrame&) const = default;
};

// Names of one code address in one space, innermost inlined frame first; empty frames: only the module is
// known. Resolved on first sight: a recorder that is killed must not cost names.
struct SymbolInfo {
  SpaceId space{};
  uint64_t address = 0;  // as in Stack::frames; a return address is looked up at address - 1
  bool is_return = false;
  BinaryId binary{};
  uint64_t file_offset = 0;  // of the address in the binary's file
  std::vector<SourceFrame> frames;
  bool operator==(const SymbolInfo&) const = default;
};

struct Thread {
  Pid tid = 0;
  uint64_t stack_pointer = 0;  // user sp; 0 unknown
  uint64_t tls = 0;            // FS base; 0 unknown
  bool operator==(const Thread&) const = default;
};

struct ThreadList {
  SpaceId space{};
  std::vector<Thread> threads;
  bool operator==(const ThreadList&) const = default;
};

// Read at 1 Hz from status and the cgroup; what is unknown is absent.
struct Counters {
  SpaceId space{};
  uint64_t rss_anon_bytes = 0, rss_file_bytes = 0, rss_shmem_bytes = 0, swap_bytes = 0;
  uint64_t peak_bytes = 0, page_table_bytes = 0, hugetlb_bytes = 0;
  uint64_t error_bytes = 0;  // the kernel's bound on the sum of the RSS counters
  uint32_t threads = 0;
  std::optional<uint64_t> cgroup_usage_bytes, cgroup_limit_bytes;
  uint64_t locked_bytes = 0;  // of mappings that mlock(2) holds, resident or not
  uint64_t rss_bytes() const { return rss_anon_bytes + rss_file_bytes + rss_shmem_bytes; }
  bool operator==(const Counters&) const = default;
};

}  // namespace memwhy::events
