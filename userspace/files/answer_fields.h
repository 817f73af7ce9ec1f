// SPDX-License-Identifier: Apache-2.0
// The parser's answers, field by field, and how large the parts of a message may be. Requests, and what accompanies a
// descriptor: messages.h.
#pragma once

#include <string>
#include <vector>

#include "files/wire.h"
#include "symbols/binaries.h"

namespace memwhy::files {

constexpr size_t kMostMessageBytes = 8 << 20;
constexpr size_t kMostPath = 4096;
constexpr size_t kMostName = 16 << 10;  // of a function: C++ writes long ones
constexpr auto kNameField = [](auto& codec, std::string& text) { codec.text(text, kMostName); };
constexpr size_t kMostSentence = 1024;
constexpr size_t kMostAddresses = 2048;  // of one question
constexpr size_t kMostFunctions = 64;    // of one question for unwind rules
constexpr size_t kMostInlined = 128;     // frames of one address
constexpr size_t kMostSegments = 4096;
constexpr size_t kMostModules = 1024;  // of a Go program
constexpr size_t kMostReadBytes = 1 << 20;

template <typename Codec>
void fields(Codec& c, std::vector<symbols::SourceFrames>& found) {
  c.list(found, kMostAddresses, [](auto& outer, symbols::SourceFrames& frames) {
    outer.list(frames, kMostInlined, [](auto& codec, events::SourceFrame& frame) {
      codec.text(frame.function, kMostName);
      codec.text(frame.file, kMostPath);
      codec.number(frame.line);
    });
  });
}

template <typename Codec>
void fields(Codec& c, symbols::UnwindRule& rule) {
  c.number(rule.kind);
  c.number(rule.saved);
  c.number(rule.bytes);
}

template <typename Codec>
void fields(Codec& c, std::vector<symbols::FunctionRules>& functions) {
  c.list(functions, kMostFunctions, [](auto& outer, symbols::FunctionRules& function) {
    outer.number(function.why);
    outer.number(function.begin);
    outer.number(function.end);
    outer.list(function.rows, symbols::FunctionRules::kMostRows, [](auto& codec, symbols::RuleRow& row) {
      codec.number(row.end);
      fields(codec, row.at);
      fields(codec, row.after_call);
    });
  });
}

template <typename Codec>
void fields(Codec& c, symbols::ProgramFacts& facts) {
  c.text(facts.machine, 64);
  c.text(facts.go_version, 256);
  c.optional(facts.go_table, [](auto& codec, symbols::GoTable& table) {
    codec.number(table.vaddr);
    codec.number(table.names_offset);
  });
  c.list(facts.segments, kMostSegments, [](auto& codec, symbols::Segment& segment) {
    codec.number(segment.offset);
    codec.number(segment.vaddr);
    codec.number(segment.file_bytes);
    codec.number(segment.memory_bytes);
    codec.number(segment.write);
    codec.number(segment.exec);
  });
  c.list(facts.functions, symbols::ProgramQuestion::kMostNames, [](auto& outer, auto& function) {
    outer.optional(function, [](auto& codec, symbols::ProgramFunction& one) {
      codec.number(one.range.start);
      codec.number(one.range.end);
      codec.optional(one.file_offset, [](auto& inner, uint64_t& at) { inner.number(at); });
      codec.bytes(one.code, symbols::ProgramQuestion::kMostCodeBytes);
    });
  });
  c.flags(facts.linked, symbols::ProgramQuestion::kMostNames);
  c.list(facts.variables, symbols::ProgramQuestion::kMostVariables, [](auto& codec, AddressRange& range) {
    codec.number(range.start);
    codec.number(range.end);
  });
  c.list(facts.named, symbols::ProgramQuestion::kMostNames, kNameField);
  c.list(facts.users, symbols::ProgramQuestion::kMostNames, kNameField);
}

}  // namespace memwhy::files
