// SPDX-License-Identifier: Apache-2.0
#include "procfs/text.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace memwhy::procfs {
namespace {

// Takes what can be taken from the front of a text; nothing is taken when it does not fit.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::optional<uint64_t> number(int base) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, base);
    if (error != std::errc{}) return std::nullopt;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }
  bool take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string_view take_bytes(size_t n) {
    const std::string_view head = text_.substr(0, n);
    text_.remove_prefix(head.size());
    return head;
  }
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\t')) text_.remove_prefix(1);
  }
  // Up to the next blank, which is taken too.
  std::string_view word() {
    skip_blanks();
    const std::string_view head = text_.substr(0, text_.find_first_of(" \t"));
    text_.remove_prefix(head.size());
    return head;
  }
  std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

// Calls `each` with every line, without its newline.
template <typename F>
void for_each_line(std::string_view text, F each) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    each(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

bool is_shmem_name(std::string_view name) {
  return name.starts_with("/memfd:") || name.starts_with("/SYSV") || name.starts_with("/dev/shm/") ||
         name == "/dev/zero (deleted)" || name.starts_with("[anon_shmem:");
}

uint64_t kilobytes(std::string_view text) {
  Cursor cursor(text);
  cursor.skip_blanks();
  return cursor.number(10).value_or(0) * 1024;
}

// mountinfo writes blank, tab, newline and backslash as three octal digits.
std::string unescape_octal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ptr == text.data() + i + 4) {
      out.push_back(static_cast<char>(value));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool has_option(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    const size_t comma = options.find(',');
    if (options.substr(0, comma) == wanted) return true;
    if (comma == std::string_view::npos) return false;
    options.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

std::optional<events::Vma> parse_maps_line(std::string_view line) {
  Cursor cursor(line);
  events::Vma vma;
  const auto start = cursor.number(16);
  if (!start || !cursor.take('-')) return std::nullopt;
  const auto end = cursor.number(16);
  if (!end || *end <= *start || !cursor.take(' ')) return std::nullopt;
  const std::string_view mode = cursor.take_bytes(4);
  if (mode.size() != 4 || !cursor.take(' ')) return std::nullopt;
  const auto offset = cursor.number(16);
  if (!offset || !cursor.take(' ')) return std::nullopt;
  const auto major = cursor.number(16);
  if (!major || !cursor.take(':')) return std::nullopt;
  const auto minor = cursor.number(16);
  if (!minor || !cursor.take(' ')) return std::nullopt;
  const auto inode = cursor.number(10);
  if (!inode) return std::nullopt;
  cursor.skip_blanks();

  vma.range = {*start, *end};
  vma.read = mode[0] == 'r';
  vma.write = mode[1] == 'w';
  vma.exec = mode[2] == 'x';
  vma.shared = mode[3] == 's';
  vma.offset = *offset;
  if (*inode != 0 || *major != 0 || *minor != 0) {
    vma.device = makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));
  }
  vma.inode = *inode;
  vma.name = cursor.rest();
  vma.shmem = is_shmem_name(vma.name);
  vma.hugetlb = vma.name.starts_with("/anon_hugepage");
  return vma;
}

std::optional<Stat> parse_stat(std::string_view text) {
  // comm may hold anything, ") R 1" too: it ends at the last bracket.
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close <= open) return std::nullopt;
  Stat stat;
  stat.comm = text.substr(open + 1, close - open - 1);
  Cursor cursor(text.substr(close + 1));
  const std::string_view state = cursor.word();
  if (state.size() != 1) return std::nullopt;
  stat.state = state.front();
  for (int field = 4; field <= 22; ++field) {  // as numbered in proc(5)
    const std::string_view word = cursor.word();
    if (word.empty()) return std::nullopt;
    if (field != 4 && field != 9 && field != 20 && field != 22) continue;
    const auto value = Cursor(word).number(10);
    if (!value) return std::nullopt;
    if (field == 4) stat.parent = static_cast<Pid>(*value);
    if (field == 9) stat.flags = *value;
    if (field == 20) stat.threads = static_cast<uint32_t>(*value);
    if (field == 22) stat.start_ticks = *value;
  }
  return stat;
}

std::optional<Statm> parse_statm(std::string_view text) {
  Statm out;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (uint64_t* field : {&out.size, &out.resident, &out.shared}) {
    const auto [rest, error] = std::from_chars(at, end, *field);
    if (error != std::errc{}) return std::nullopt;
    at = rest < end ? rest + 1 : end;
  }
  return out;
}

ProcessStatus parse_status(std::string_view text) {
  ProcessStatus status;
  for_each_line(text, [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 1);
    if (key == "RssAnon") status.rss_anon_bytes = kilobytes(value);
    if (key == "RssFile") status.rss_file_bytes = kilobytes(value);
    if (key == "RssShmem") status.rss_shmem_bytes = kilobytes(value);
    if (key == "VmSwap") status.swap_bytes = kilobytes(value);
    if (key == "VmHWM") status.peak_bytes = kilobytes(value);
    if (key == "VmPTE") status.page_table_bytes = kilobytes(value);
    if (key == "VmLck") status.locked_bytes = kilobytes(value);
    if (key == "HugetlbPages") status.hugetlb_bytes = kilobytes(value);
    if (key == "Threads") status.threads = static_cast<uint32_t>(kilobytes(value) / 1024);
    if (key == "Tgid") status.tgid = static_cast<Pid>(kilobytes(value) / 1024);
    if (key == "CapEff") {
      Cursor cursor(value);
      cursor.skip_blanks();
      status.capabilities = cursor.number(16).value_or(0);
    }
    if (key == "NSpid" && status.ns_pids.empty()) {
      Cursor cursor(value);
      for (int depth = 0; depth < 64; ++depth) {
        cursor.skip_blanks();
        const auto pid = cursor.number(10);
        if (!pid) break;
        status.ns_pids.push_back(static_cast<Pid>(*pid));
      }
    }
  });
  return status;
}

std::optional<MemoryCgroup> parse_cgroup(std::string_view text) {
  std::optional<MemoryCgroup> unified;
  std::optional<MemoryCgroup> v1;
  for_each_line(text, [&](std::string_view line) {
    const size_t first = line.find(':');
    if (first == std::string_view::npos) return;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) return;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string path(line.substr(second + 1));
    if (controllers.empty() && line.substr(0, first) == "0") unified = MemoryCgroup{true, path};
    if (has_option(controllers, "memory")) v1 = MemoryCgroup{false, path};
  });
  return v1 ? v1 : unified;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  // 36 35 98:0 /root /mount/point options [tags…] - type source super-options
  std::vector<CgroupMount> mounts;
  for_each_line(mountinfo, [&](std::string_view line) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) return;
    Cursor tail(line.substr(dash + 3));
    const std::string_view type = tail.word();
    tail.word();
    const std::string_view super_options = tail.word();
    const bool unified = type == "cgroup2";
    if (!unified && !(type == "cgroup" && has_option(super_options, "memory"))) return;
    Cursor head(line.substr(0, dash));
    head.word();
    head.word();
    head.word();
    const std::string_view root = head.word();
    const std::string_view point = head.word();
    if (root.empty() || point.empty()) return;
    mounts.push_back({unified, unescape_octal(root), unescape_octal(point)});
  });
  return mounts;
}

std::optional<std::string> cgroup_directory(const CgroupMount& mount, const std::string& path) {
  if (path.empty() || path.front() != '/') return std::nullopt;
  // What a mount of the host shows may lie above our own namespace, and so may its root: "/../..".
  const std::string below = mount.root == "/" ? path : path.substr(std::min(path.size(), mount.root.size()));
  if (mount.root != "/" && !path.starts_with(mount.root)) return std::nullopt;
  if (below.empty() || below == "/") return mount.point;
  if (below.front() != '/' || below.find("/../") != std::string::npos || below.ends_with("/.."))
    return std::nullopt;
  return mount.point + below;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  Cursor cursor(text);
  const auto value = cursor.number(10);
  if (!value || (!cursor.rest().empty() && cursor.rest() != "\n")) return std::nullopt;
  return value;
}

std::string elf_class(std::string_view header) {
  if (header.size() < 20 || header.substr(0, 4) !=
                                "\x7f"
                                "ELF")
    return "";
  const bool wide = header[4] == 2;
  const bool big_endian = header[5] == 2;
  const auto byte = [&](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(header[i])); };
  const unsigned machine = big_endian ? byte(18) << 8 | byte(19) : byte(19) << 8 | byte(18);
  struct Name {
    unsigned machine;
    const char* wide;
    const char* narrow;
  };
  static constexpr std::array<Name, 8> kNames = {{{62, "x86-64", "x32"},
                                                  {3, "i386", "i386"},
                                                  {183, "aarch64", "aarch64-ilp32"},
                                                  {40, "arm", "arm"},
                                                  {243, "riscv64", "riscv32"},
                                                  {21, "ppc64", "ppc64"},
                                                  {22, "s390x", "s390"},
                                                  {258, "loongarch64", "loongarch32"}}};
  const auto* name =
      std::find_if(kNames.begin(), kNames.end(), [&](const Name& n) { return n.machine == machine; });
  if (name != kNames.end()) return wide ? name->wide : name->narrow;
  return "machine " + std::to_string(machine);
}

uint32_t kernel_version(std::string_view release) {
  Cursor cursor(release);
  const auto major = cursor.number(10);
  if (!major || *major > 1000 || !cursor.take('.')) return 0;
  const auto minor = cursor.number(10);
  if (!minor || *minor > 999) return 0;
  return static_cast<uint32_t>(*major * 1000 + *minor);
}

uint64_t rss_error_bytes(uint32_t kernel, uint32_t cpus, uint32_t threads) {
  constexpr uint64_t kCounters = 3;  // anon, file, shmem
  const uint64_t n = std::max<uint64_t>(cpus, 1);
  if (kernel >= 6002 || kernel == 0) return kCounters * std::max<uint64_t>(32, 2 * n) * n * kPageBytes;
  return kCounters * 64 * std::max<uint64_t>(threads, 1) * kPageBytes;
}

}  // namespace memwhy::procfs
