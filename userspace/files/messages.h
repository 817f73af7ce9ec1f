// SPDX-License-Identifier: Apache-2.0
// Messages between memwhy and its children. A request goes to the opener or to the parser, each answers it before the
// next. An answer is { 1, value } or { 0, code, sentence }.
//
//   memwhy ── kOpenMapping 4711, libc.so.6 ──► opener ── { key, path } + descriptor ──► parser
//          ◄── key ──────────────────────────┘                                            │
//          ── kTake ──────────────────────────────────────────────────────────────────────┤
//          ◄── { handle 3, build id, … } ─────────────────────────────────────────────────┘
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "files/answer_fields.h"
#include "files/wire.h"
#include "goruntime/dwarf_layout.h"
#include "symbols/binaries.h"
#include "symbols/large_variables.h"

namespace memwhy::files {

enum class Ask : uint8_t {
  // The opener.
  kOpenMapping,
  kOpenExecutable,
  kOpenSymbols,  // a file that may have the symbols of what was taken
  kOpenCodeMap,  // names of code made at run time
  kFileToProbe,
  kFileSystem,
  // The parser.
  kTake,  // what the opener has just handed over
  kTakeSymbols,
  kDiscard,  // the same, unread
  kLookUp,
  kLookUpAddresses,
  kCodeNames,  // from the code map that was handed over
  kFrameRules,
  kVdso,
  kProgram,
  kRead,
  kGoLayout,
};

// One request with all that any of them has.
struct Request {
  Ask ask{};
  Pid tgid = 0;
  events::Vma vma;  // kOpenMapping, kFileSystem, kFileToProbe: range, device, inode and name of it
  symbols::BinaryHandle binary{};
  std::vector<symbols::CodeOffset> offsets;
  std::vector<uint64_t> addresses;  // kLookUpAddresses
  symbols::ProgramQuestion question;
  uint64_t offset = 0, bytes = 0;
  int minor = 0;
  symbols::DebugFilePlace place;  // kOpenSymbols
};

// From the opener to the parser, with a descriptor.
struct Handover {
  symbols::FileKey key;
  std::string path;
};

// The fields of each, in both directions: Codec is Writer or Reader.
template <typename Codec>
void fields(Codec& c, Request& r) {
  c.number(r.ask);
  c.number(r.tgid);
  c.number(r.vma.range.start);
  c.number(r.vma.range.end);
  c.number(r.vma.device);
  c.number(r.vma.inode);
  c.text(r.vma.name, kMostPath);
  c.number(r.binary);
  c.list(r.offsets, kMostAddresses, [](auto& codec, symbols::CodeOffset& at) {
    codec.number(at.file_offset);
    codec.number(at.is_return);
  });
  c.list(r.addresses, kMostAddresses, [](auto& codec, uint64_t& vaddr) { codec.number(vaddr); });
  c.list(r.question.functions, symbols::ProgramQuestion::kMostNames, kNameField);
  c.number(r.question.in_symbols);
  c.list(r.question.prefixes, symbols::ProgramQuestion::kMostNames, kNameField);
  c.number(r.question.code_bytes);
  c.number(r.question.variables);
  c.list(r.question.to_name, symbols::ProgramQuestion::kMostNames,
         [](auto& codec, uint64_t& address) { codec.number(address); });
  c.number(r.offset);
  c.number(r.bytes);
  c.number(r.minor);
  c.number(r.place.of_process);
  c.text(r.place.path, kMostPath);
}

template <typename Codec>
void fields(Codec& c, symbols::FileKey& key) {
  c.number(key.device);
  c.number(key.inode);
  c.number(key.bytes);
  c.number(key.modified_ns);
}

template <typename Codec>
void fields(Codec& c, Handover& h) {
  fields(c, h.key);
  c.text(h.path, kMostPath);
}

template <typename Codec>
void fields(Codec& c, symbols::OpenedBinary& opened) {
  fields(c, opened.key);
  c.text(opened.path, kMostPath);
  c.number(opened.handle);
  c.text(opened.machine, 64);
  c.text(opened.problem, kMostSentence);
  c.text(opened.facts.machine, 64);
  c.text(opened.facts.build_id, 256);
  c.text(opened.facts.go_build_id, 512);
  c.number(opened.facts.stripped);
  c.number(opened.facts.debug_info);
  c.text(opened.facts.debug_link, 256);
  c.number(opened.facts.go_code.start);
  c.number(opened.facts.go_code.end);
  c.optional(opened.facts.go, [](auto& codec, events::GoBuild& go) {
    codec.text(go.version, 256);
    codec.number(go.race);
    codec.number(go.cgo);
    codec.text(go.default_godebug, 4096);
    codec.list(go.modules, kMostModules, [](auto& inner, std::string& path) { inner.text(path, kMostPath); });
  });
  c.list(opened.facts.code, symbols::BinaryFacts::kMostCode, [](auto& codec, events::CodeSegment& code) {
    codec.number(code.file_offset);
    codec.number(code.bytes);
    codec.number(code.vaddr);
  });
  c.list(opened.facts.variables, symbols::kMostVariables, [](auto& codec, events::ProgramVariable& variable) {
    codec.text(variable.name, kMostName);
    codec.text(variable.section, kMostPath);
    codec.number(variable.bytes);
  });
}

// The path itself goes along as a descriptor.
template <typename Codec>
void fields(Codec& c, symbols::ProbedFile& path) {
  fields(c, path.key);
  c.number(path.mode);
  c.number(path.remote);
}

template <typename Codec>
void fields(Codec& c, Bytes& bytes) {
  c.bytes(bytes, kMostReadBytes);
}
template <typename Codec>
void fields(Codec& c, uint64_t& number) {
  c.number(number);
}

using GoLayout = std::unique_ptr<const goruntime::DwarfLayout>;
Bytes encode_layout(const goruntime::DwarfLayout& layout);
// nullptr: not one. No field of it reaches beyond what a struct of the runtime may have.
GoLayout decode_layout(std::span<const std::byte> bytes, int minor);

template <typename T>
Bytes encode(const T& value) {
  Writer writer;
  fields(writer, const_cast<T&>(value));  // the same list reads
  return writer.out();
}
template <typename T>
std::optional<T> decode(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  std::optional<T> value(std::in_place);
  fields(reader, *value);
  if (!reader.done()) value.reset();
  return value;
}

Bytes encode_error(const Error& error);
Bytes encode_answer(std::span<const std::byte> value);
// The value's bytes, or the error in it. kInternal: it is no answer.
Result<std::span<const std::byte>> decode_answer(std::span<const std::byte> message);

}  // namespace memwhy::files
