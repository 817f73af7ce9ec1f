// SPDX-License-Identifier: Apache-2.0
#include "app/block_reader.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "allocators/hotspot.h"
#include "allocators/jemalloc.h"
#include "allocators/mimalloc.h"
#include "allocators/module_data.h"
#include "allocators/musl.h"
#include "allocators/pymalloc.h"
#include "allocators/rounding.h"
#include "allocators/sanitizer.h"
#include "allocators/tcmalloc.h"
#include "allocators/v8.h"
#include "allocators/zend.h"
#include "app/file_texts.h"
#include "app/heap_target.h"
#include "base/text.h"

namespace memwhy::app {
namespace {

std::unique_ptr<record::RuntimeSource> open_reader(
    const TargetProcess& target, std::unique_ptr<allocators::BlockReader> reader,
    allocators::Expected expected = allocators::Expected::kYes) {
  std::unique_ptr<remote::RemoteMemory> memory = heap_memory_of(target);
  if (memory == nullptr) return nullptr;
  return std::make_unique<BlockHeapReader>(allocators::BlockHeap(
      std::move(reader), std::move(memory), [&process = target.process] { return process.vmas(); },
      allocators::ReadPace{.pause = pause_reading}, expected));
}

// library: a part of its name; a program that has no such library mapped may have it linked in.
template <typename Reader, typename... Arguments>
std::unique_ptr<record::RuntimeSource> open_blocks(const TargetProcess& target, std::string_view library = "",
                                                   Arguments... arguments) {
  const auto named = [library](const events::Vma& vma) {
    return vma.inode != 0 && base_name(vma.name).find(library) != std::string_view::npos;
  };
  return open_reader(target, std::make_unique<Reader>(std::move(arguments)...),
                     has_mapping(target, named) ? allocators::Expected::kYes : allocators::Expected::kNo);
}

// Allocators and managed heaps with tables that memwhy does not know, by a part of a library's or a mapping's name.
struct Recognised {
  const char *in_name, *name, *title;
};
constexpr Recognised kRecognised[] = {
    {"libscudo", "scudo", "scudo"},
    {"clang_rt.scudo", "scudo", "scudo"},
    {"[anon:scudo", "scudo", "scudo"},
    {"[anon:tcmalloc_region", "google-tcmalloc", "Google's tcmalloc"},
    {"libtbbmalloc", "tbbmalloc", "oneTBB's malloc"},
    {"libcoreclr.so", "coreclr", ".NET"},
};

class RecognisedReader final : public record::PagesOnly {
 public:
  explicit RecognisedReader(const Recognised& which) : which_(which) {}

  std::string_view name() const override { return which_.name; }
  std::string_view title() const override { return which_.title; }
  events::RuntimePages pages(const events::PageScan& scan, const Tell& /*tell*/) override {
    events::RuntimePages out;
    out.space = scan.space;
    out.runtime = which_.name;
    out.problem =
        std::string("memwhy does not read the heap of ") + which_.title + ": its memory is anonymous here";
    return out;
  }

 private:
  const Recognised& which_;
};

// Any build of it has texts with its name, linked in or not, stripped or not.
allocators::MayHold mentions(const TargetProcess& target, FileTexts::Text text) {
  return [texts = target.texts, pid = target.process.pid(), text](const std::vector<events::Vma>& vmas,
                                                                  const events::Vma& data) {
    return texts == nullptr || texts->has(pid, vmas, data, text).value_or(true);
  };
}

// Whether a file's variables are as large.
bool has_data(const TargetProcess& target, uint64_t bytes) {
  const std::vector<allocators::ModuleData> modules = allocators::module_data(target.vmas);
  return std::any_of(modules.begin(), modules.end(),
                     [&](const auto& module) { return module.range.bytes() >= bytes; });
}

}  // namespace

std::unique_ptr<record::RuntimeSource> open_pymalloc(const TargetProcess& target) {
  const auto python = [](const events::Vma& vma) {
    return vma.inode != 0 && allocators::is_python(vma.name);
  };
  if (!is_64_bit(target) || !has_mapping(target, python)) return nullptr;
  return open_blocks<allocators::Pymalloc>(target);
}

std::unique_ptr<record::RuntimeSource> open_jemalloc(const TargetProcess& target) {
  using allocators::Jemalloc;
  return has_c_heap(target) && has_data(target, Jemalloc::kLeastData)
             ? open_blocks<Jemalloc>(target, "jemalloc", mentions(target, FileTexts::kJemalloc))
             : nullptr;
}

std::unique_ptr<record::RuntimeSource> open_tcmalloc(const TargetProcess& target) {
  using allocators::Tcmalloc;
  return has_c_heap(target) && has_data(target, Tcmalloc::kLeastData)
             ? open_blocks<Tcmalloc>(target, "tcmalloc", mentions(target, FileTexts::kTcmalloc))
             : nullptr;
}

std::unique_ptr<record::RuntimeSource> open_mimalloc(const TargetProcess& target) {
  using allocators::Mimalloc;
  const auto segment = [](const events::Vma& vma) {
    return allocators::HeapMemory::private_anonymous(vma) &&
           allocators::round_up(vma.range.start, Mimalloc::kSegmentBytes) < vma.range.end;
  };
  return has_c_heap(target) && has_mapping(target, segment) ? open_blocks<Mimalloc>(target, "mimalloc")
                                                            : nullptr;
}

std::unique_ptr<record::RuntimeSource> open_musl(const TargetProcess& target) {
  const auto musl = [](const events::Vma& vma) { return vma.name.find("musl") != std::string::npos; };
  const bool here = has_mapping(target, musl) || (!has_libc(target) && has_brk(target));
  return is_64_bit(target) && here ? open_blocks<allocators::Musl>(target) : nullptr;
}

std::unique_ptr<record::RuntimeSource> open_sanitizer(const TargetProcess& target) {
  if (!is_64_bit(target) || allocators::sanitizer_of(target.vmas) == nullptr) return nullptr;
  return open_blocks<allocators::Sanitizer>(target);
}

std::unique_ptr<record::RuntimeSource> open_hotspot(const TargetProcess& target) {
  const auto jvm = [](const events::Vma& vma) { return vma.inode != 0 && allocators::is_hotspot(vma.name); };
  if (!is_64_bit(target) || !has_mapping(target, jvm)) return nullptr;
  return open_reader(
      target, std::make_unique<allocators::Hotspot>(file_bytes_of(target.files, target.process.pid())));
}

std::unique_ptr<record::RuntimeSource> open_v8(const TargetProcess& target) {
  if (!is_64_bit(target) || !has_mapping(target, allocators::is_made_code)) return nullptr;
  return open_reader(target, std::make_unique<allocators::V8>(), allocators::Expected::kNo);
}

std::unique_ptr<record::RuntimeSource> open_zend(const TargetProcess& target) {
  const auto php = [](const events::Vma& vma) {
    return vma.inode != 0 && base_name(vma.name).find("php") != std::string_view::npos;
  };
  if (!is_64_bit(target) || !has_mapping(target, php)) return nullptr;
  return open_reader(target, std::make_unique<allocators::Zend>(), allocators::Expected::kNo);
}

std::unique_ptr<record::RuntimeSource> open_recognised(const TargetProcess& target) {
  for (const Recognised& each : kRecognised)
    for (const events::Vma& vma : target.vmas)
      if (vma.name.find(each.in_name) != std::string::npos) return std::make_unique<RecognisedReader>(each);
  return nullptr;
}

}  // namespace memwhy::app
