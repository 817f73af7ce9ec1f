// SPDX-License-Identifier: Apache-2.0
#include "anonymize/names.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "events/process.h"
#include "explain/functions.h"
#include "explain/mapping.h"
#include "explain/runtimes.h"

namespace memwhy::anonymize {
namespace {

template <size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), text) != names.end();
}
template <size_t N>
bool begins_with_one_of(std::string_view text, const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view each) { return text.starts_with(each); });
}

// Directories of every Linux, and of source trees.
constexpr std::array<std::string_view, 46> kDirectories = {"usr",
                                                           "lib",
                                                           "lib64",
                                                           "lib32",
                                                           "bin",
                                                           "sbin",
                                                           "local",
                                                           "opt",
                                                           "tmp",
                                                           "var",
                                                           "dev",
                                                           "shm",
                                                           "home",
                                                           "root",
                                                           "proc",
                                                           "srv",
                                                           "etc",
                                                           "run",
                                                           "go",
                                                           "src",
                                                           "pkg",
                                                           "mod",
                                                           "gconv",
                                                           "locale",
                                                           "share",
                                                           "include",
                                                           "build",
                                                           "vendor",
                                                           "cmd",
                                                           "internal",
                                                           "app",
                                                           "jvm",
                                                           "python",
                                                           "cache",
                                                           "x86_64-linux-gnu",
                                                           "aarch64-linux-gnu",
                                                           "sys",
                                                           "debug",
                                                           "release",
                                                           "target",
                                                           "dist",
                                                           "site-packages",
                                                           "dist-packages",
                                                           "lib-dynload",
                                                           "node_modules",
                                                           "server"};

// How names of files begin that everybody has: libraries of the system, runtimes, allocators, sanitizers, servers.
constexpr std::array<std::string_view, 75> kFiles = {
    "ld-linux",     "ld-musl",        "libc",         "libm",
    "libmvec",      "libpthread",     "libdl",        "librt",
    "libresolv",    "libnss",         "libutil",      "libgcc_s",
    "libstdc++",    "libc++",         "libatomic",    "libgomp",
    "libz",         "libzstd",        "liblzma",      "liblz4",
    "libbz2",       "libbrotli",      "libssl",       "libcrypto",
    "libcurl",      "libexpat",       "libffi",       "libsqlite3",
    "libuv",        "libselinux",     "libpcre",      "libcap",
    "libsystemd",   "libelf",         "libdw",        "libunwind",
    "libbpf",       "libglib",        "libpython",    "python",
    "libjvm",       "libjava",        "java",         "libnode",
    "node",         "libv8",          "libruby",      "ruby",
    "libperl",      "perl",           "libphp",       "php",
    "libluajit",    "luajit",         "libcoreclr",   "libclrjit",
    "dotnet",       "libmono",        "libjemalloc",  "libtcmalloc",
    "libmimalloc",  "libtbbmalloc",   "libasan",      "libtsan",
    "libmsan",      "libubsan",       "redis-server", "postgres",
    "nginx",        "locale-archive", "libc++abi",    "libbrotlicommon",
    "libbrotlidec", "libbrotlienc",   "libmonosgen"};

// Words that may follow it, between numbers.
constexpr std::array<std::string_view, 42> kFileWords = {
    "so",        "musl",    "x",      "aarch",  "armhf",   "linux",      "gnu",
    "gnueabihf", "files",   "dns",    "compat", "systemd", "mymachines", "myhostname",
    "resolve",   "minimal", "debug",  "dbg",    "and",     "profiler",   "proxy",
    "secure",    "pic",     "shared", "gnutls", "nss",     "ng",         "ptrace",
    "generic",   "posix",   "fpm",    "cgi",    "cli",     "native",     "server",
    "m",         "d",       "c",      "beta",   "rc",      "libbase",    "libplatform"};

// The first element of packages of Go's standard library.
constexpr std::array<std::string_view, 48> kGoStandard = {
    "archive",  "bufio",   "bytes",   "cmp",      "compress", "container", "context", "crypto",
    "database", "debug",   "embed",   "encoding", "errors",   "expvar",    "flag",    "fmt",
    "go",       "hash",    "html",    "image",    "index",    "internal",  "io",      "iter",
    "log",      "maps",    "math",    "mime",     "net",      "os",        "path",    "plugin",
    "reflect",  "regexp",  "runtime", "slices",   "sort",     "strconv",   "strings", "structs",
    "sync",     "syscall", "testing", "text",     "time",     "type",      "unicode", "unique"};

// Modules of Go that are public.
constexpr std::array<std::string_view, 32> kGoModules = {"golang.org/x/",
                                                         "google.golang.org/",
                                                         "go.uber.org/",
                                                         "go.opentelemetry.io/",
                                                         "go.etcd.io/",
                                                         "gopkg.in/",
                                                         "k8s.io/",
                                                         "sigs.k8s.io/",
                                                         "modernc.org/",
                                                         "cloud.google.com/go",
                                                         "github.com/golang/",
                                                         "github.com/google/",
                                                         "github.com/prometheus/",
                                                         "github.com/grpc-ecosystem/",
                                                         "github.com/spf13/",
                                                         "github.com/gogo/",
                                                         "github.com/klauspost/",
                                                         "github.com/dgraph-io/",
                                                         "github.com/cockroachdb/pebble",
                                                         "github.com/VictoriaMetrics/fastcache",
                                                         "github.com/coocood/freecache",
                                                         "github.com/edsrzf/mmap-go",
                                                         "github.com/tidwall/",
                                                         "github.com/sirupsen/",
                                                         "github.com/stretchr/",
                                                         "github.com/redis/",
                                                         "github.com/tetratelabs/wazero",
                                                         "github.com/blevesearch/mmap-go",
                                                         "github.com/tysonmote/gommap",
                                                         "github.com/awnumar/memguard",
                                                         "github.com/bytedance/sonic",
                                                         "gvisor.dev/gvisor"};

// Words of languages and of the standard libraries of C++ and Rust: they reveal nothing about a program.
constexpr std::array<std::string_view, 62> kIdentifiers = {
    "main",        "init",       "glob",       "std",           "core",          "alloc",
    "operator",    "new",        "delete",     "const",         "unsigned",      "signed",
    "char",        "short",      "int",        "long",          "float",         "double",
    "bool",        "void",       "auto",       "struct",        "class",         "enum",
    "anonymous",   "namespace",  "lambda",     "func",          "string",        "basic_string",
    "vector",      "map",        "set",        "unordered_map", "unordered_set", "pair",
    "tuple",       "shared_ptr", "unique_ptr", "function",      "allocator",     "allocator_traits",
    "char_traits", "less",       "hash",       "equal_to",      "optional",      "variant",
    "__cxx11",     "__gnu_cxx",  "__detail",   "closure",       "impl",          "dyn",
    "mut",         "str",        "u8",         "usize",         "Vec",           "Box",
    "Option",      "Result"};

constexpr std::array<std::string_view, 28> kCgroupWords = {
    "kubepods", "besteffort", "burstable",  "guaranteed", "slice",  "scope",    "service",
    "docker",   "cri",        "containerd", "crio",       "libpod", "system",   "user",
    "init",     "app",        "session",    "machine",    "lxc",    "ecs",      "garden",
    "pod",      "conmon",     "podman",     "user@",      "root",   "buildkit", "nerdctl"};

constexpr std::array<std::string_view, 19> kExtensions = {"so",   "go", "s",    "S",   "c",   "cc", "cpp",
                                                          "cxx",  "h",  "hpp",  "rs",  "py",  "js", "jar",
                                                          "abi3", "a",  "node", "dll", "java"};

// Bytes of UTF-8 too: Go and Rust have names of any letters.
bool is_identifier_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || std::isalnum(byte) != 0 || c == '_' || c == '$';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}
bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

// "func1", "gowrap2": how the compiler of Go numbers closures.
bool is_closure(std::string_view name) {
  for (const std::string_view prefix : {"func", "gowrap", "deferwrap"})
    if (name.starts_with(prefix) && is_number(name.substr(prefix.size()))) return true;
  return false;
}

// "encoding/json.Unmarshal", "runtime.gopark"; not "go.acme.com/ledger.Post": the first of several elements has no dot.
bool is_public_package(std::string_view name) {
  const std::string_view path = name.substr(0, name.find('['));
  const size_t slash = path.find('/');
  const std::string_view first = path.substr(0, slash == std::string_view::npos ? path.find('.') : slash);
  return is_one_of(first, kGoStandard) || begins_with_one_of(name, kGoModules);
}

// After the beginning of a public file's name: nothing, or versions, machines and extensions.
bool is_version(std::string_view rest) {
  constexpr std::string_view kSeparators = ".-_0123456789";
  if (!rest.empty() && kSeparators.find(rest.front()) == std::string_view::npos) return false;
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kSeparators), rest.size()));
    const std::string_view word = rest.substr(0, rest.find_first_of(kSeparators));
    if (!word.empty() && !is_one_of(word, kFileWords)) return false;
    rest.remove_prefix(word.size());
  }
  return true;
}
bool is_known_file(std::string_view name) {
  return std::any_of(kFiles.begin(), kFiles.end(), [&](std::string_view each) {
    return name.starts_with(each) && is_version(name.substr(each.size()));
  });
}

}  // namespace

bool Names::is_public_file(std::string_view path) {
  const std::string_view name = base_name(explain::without_deleted(path));
  return is_known_file(name) || explain::unread_runtime(path) != nullptr;
}

bool Names::is_public_function(std::string_view name, std::string_view file, std::string_view module,
                               bool go) {
  const explain::FunctionName frame{name, file, go};
  if (name == "main" || name == "main.main" || explain::is_root(frame)) return true;
  const explain::FrameKind kind = explain::kind_of_frame(frame, module);
  if (kind != explain::FrameKind::kProgram && kind != explain::FrameKind::kUnknown) return true;
  return go ? is_public_package(name) : is_public_file(module);
}

// Each identifier of a name by itself, so that "pkg.(*T).method.func1" stays one of its kind.
std::string Names::identifiers(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (!is_identifier_char(text[at])) {
      out += text[at++];
      continue;
    }
    size_t end = at;
    while (end < text.size() && is_identifier_char(text[end])) ++end;
    const std::string_view name = text.substr(at, end - at);
    const bool stays = is_digit(name.front()) || is_one_of(name, kIdentifiers) || is_closure(name);
    out += stays ? std::string(name) : words_.word(name);
    at = end;
  }
  return out;
}

// A public template may be of types that are not: within brackets what begins with no public namespace is replaced.
std::string Names::arguments(std::string_view name, std::string_view open, std::string_view close) {
  std::string out;
  size_t depth = 0;
  for (size_t at = 0, end = 0; at < name.size(); at = end) {
    for (end = at; end < name.size() && (is_identifier_char(name[end]) || name[end] == ':'); ++end) {
    }
    const std::string_view chain = name.substr(at, end - at);  // "acme::Thing"
    out += depth == 0 || chain.starts_with("std::") ? std::string(chain) : identifiers(chain);
    if (end == name.size()) break;
    depth += open.find(name[end]) != std::string_view::npos ? 1 : 0;
    depth -= depth > 0 && close.find(name[end]) != std::string_view::npos ? 1 : 0;
    out += name[end++];
  }
  return out;
}

std::string Names::function(std::string_view name, std::string_view file, std::string_view module, bool go) {
  if (name.empty()) return "";
  if (is_public_function(name, file, module, go)) {
    if (is_public_file(module)) return std::string(name);
    return go ? arguments(name, "[", "]") : arguments(name, "<(", ">)");
  }
  if (name.starts_with(events::kLocalFunction)) {
    const std::string_view of = name.substr(events::kLocalFunction.size());
    const size_t offset = std::min(of.find('+'), of.size());
    return std::string(events::kLocalFunction) + function(of.substr(0, offset), file, module, go) +
           std::string(of.substr(offset));
  }
  return identifiers(name);
}

// Its stem is a word; numbers and extensions that identify the kind of file stay.
std::string Names::component(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || is_one_of(name, kDirectories) || is_number(name))
    return std::string(name);
  const size_t dot = name.find('.', 1);
  std::string out = words_.word(name.substr(0, dot));
  std::string_view rest = dot == std::string_view::npos ? std::string_view() : name.substr(dot);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('.', 1), rest.size());
    const std::string_view part = rest.substr(1, end - 1);
    if (is_number(part) || is_one_of(part, kExtensions)) out += "." + std::string(part);
    rest.remove_prefix(end);
  }
  return out;
}

std::string Names::path(std::string_view path) {
  if (path.starts_with('[')) return std::string(path);  // the kernel's: [vdso]
  const std::string_view file = explain::without_deleted(path);
  const std::string_view tail = path.substr(file.size());
  for (const std::string_view kernels : {"/memfd:", "/SYSV", "/dev/zero", "anon_inode:", "socket:", "//"}) {
    if (!file.starts_with(kernels)) continue;
    const std::string_view name = file.substr(kernels.size());
    const bool stays = kernels != "/memfd:" || name.empty();
    return std::string(kernels) + (stays ? std::string(name) : words_.word(name)) + std::string(tail);
  }
  std::string out;
  for (size_t at = 0; at <= file.size();) {
    const size_t end = std::min(file.find('/', at), file.size());
    const std::string_view part = file.substr(at, end - at);
    const bool last = end == file.size();
    out += last && is_public_file(part) ? std::string(part) : component(part);
    if (!last) out += '/';
    at = end + 1;
  }
  return out + std::string(tail);
}

std::string Names::source(std::string_view path, bool of_public) {
  std::string out = this->path(path);
  if (!of_public) return out;
  const size_t directory = out.rfind('/');
  return out.substr(0, directory == std::string::npos ? 0 : directory + 1) + std::string(base_name(path));
}

std::string Names::mapping(std::string_view name) {
  if (name.empty() || name[0] != '[') return path(name);
  for (const std::string_view given : {"[anon:", "[anon_shmem:"}) {
    if (!name.starts_with(given) || name.starts_with("[anon: Go:") || name.starts_with("[anon: glibc:"))
      continue;
    const std::string_view inner = name.substr(given.size(), name.rfind(']') - given.size());
    return std::string(given) + words_.word(inner) + "]";
  }
  return std::string(name);
}

std::string Names::cgroup(std::string_view path) {
  std::string out;
  for (size_t at = 0; at < path.size();) {
    if (!is_identifier_char(path[at]) || path[at] == '_') {
      out += path[at++];
      continue;
    }
    size_t end = at;
    while (end < path.size() && is_identifier_char(path[end]) && path[end] != '_') ++end;
    std::string_view token = path.substr(at, end - at);
    at = end;
    if (token.starts_with("pod") && token.size() > 3 && is_hex(token.substr(3))) {
      out += "pod";
      token.remove_prefix(3);
    }
    if (is_hex(token) && token.size() >= 4)
      out += words_.digits(token);
    else if (is_one_of(token, kCgroupWords) || is_number(token))
      out += token;
    else
      out += words_.word(token);
  }
  return out;
}

std::string Names::comm(std::string_view name) {
  if (name.empty() || is_public_file(name)) return std::string(name);
  return words_.word(name).substr(0, 15);
}

std::string Names::go_module(std::string_view path) {
  const bool standard = path.find('.') == std::string_view::npos && is_public_package(path);
  return standard || begins_with_one_of(path, kGoModules) ? std::string(path) : identifiers(path);
}

std::string Names::variable(std::string_view name) {
  return is_public_package(name) ? std::string(name) : identifiers(name);
}

std::string Names::sentence(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    std::string word = text.substr(at, end - at);
    const bool of_pid = at > 4 && word.starts_with('(') && out.size() > 1 && is_digit(out[out.size() - 2]);
    if (of_pid) {  // "pid 7 (web): …"
      const size_t close = std::min(text.find(')', at), text.size());
      out += "(" + comm(std::string_view(text).substr(at + 1, close - at - 1));
      at = close;
      continue;
    }
    if (word.find('/') != std::string::npos) word = path(word);
    out += word;
    if (end < text.size()) out += ' ';
    at = end + 1;
  }
  return out;
}

}  // namespace memwhy::anonymize
