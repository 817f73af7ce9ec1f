// SPDX-License-Identifier: Apache-2.0
#include "files/messages.h"

#include <algorithm>
#include <utility>

#include "goruntime/layout_fields.h"

namespace memwhy::files {
namespace {

constexpr uint32_t kMostStruct = 64 << 10, kMostLargeStruct = 4 << 20;  // bytes
constexpr size_t kMostReasonBytes = 64;

template <typename Codec>
void layout_fields(Codec& c, goruntime::Layout& layout, std::vector<std::string>& reasons) {
  for (const goruntime::LayoutStruct& s : goruntime::layout_structs()) {
    for (const goruntime::LayoutField& f : s.fields) {
      if (f.size != nullptr) {
        c.number(*f.size(layout));
        continue;
      }
      goruntime::Field& field = *f.field(layout);
      c.number(field.offset);
      c.number(field.bytes);
    }
  }
  c.number(layout.special_profile_kind);
  c.list(reasons, std::size(layout.wait_reasons),
         [](auto& codec, std::string& text) { codec.text(text, kMostReasonBytes); });
}

// A file says of itself how its runtime's structs are: they are read by it, thousands at a time.
bool sensible(const goruntime::LayoutStruct& of, goruntime::Layout& layout) {
  const bool large = of.go_type == "runtime.mheap" || of.go_type == "runtime.heapArena";
  uint32_t end = large ? kMostLargeStruct : kMostStruct;
  for (const goruntime::LayoutField& f : of.fields) {  // the size comes first
    if (f.size != nullptr) {
      if (*f.size(layout) > end) return false;
      end = *f.size(layout);
      continue;
    }
    const goruntime::Field& field = *f.field(layout);
    if (field.bytes > end || field.offset > end - field.bytes) return false;
  }
  return true;
}

bool sensible(goruntime::Layout& layout) {
  const auto structs = goruntime::layout_structs();
  return layout.special_profile_kind <= 255 &&
         std::all_of(structs.begin(), structs.end(), [&](const auto& s) { return sensible(s, layout); });
}

}  // namespace

Bytes encode_layout(const goruntime::DwarfLayout& layout) {
  Writer writer;
  goruntime::Layout copy = layout.layout;
  std::vector<std::string> reasons = layout.wait_reasons;
  layout_fields(writer, copy, reasons);
  return writer.out();
}

GoLayout decode_layout(std::span<const std::byte> bytes, int minor) {
  Reader reader(bytes);
  auto layout = std::make_unique<goruntime::DwarfLayout>();
  layout_fields(reader, layout->layout, layout->wait_reasons);
  if (!reader.done() || !sensible(layout->layout)) return nullptr;
  layout->layout.minor = minor;
  layout->layout.measured = "the program's debug information";
  for (size_t i = 0; i < layout->wait_reasons.size(); ++i)
    layout->layout.wait_reasons[i] = layout->wait_reasons[i];
  return layout;
}

Bytes encode_error(const Error& error) {
  Writer writer;
  writer.number(false);
  writer.number(error.code());
  writer.text(error.message(), kMostSentence);
  return writer.out();
}

Bytes encode_answer(std::span<const std::byte> value) {
  Bytes out(1 + value.size());
  out.front() = std::byte{1};
  std::copy(value.begin(), value.end(), out.begin() + 1);
  return out;
}

Result<std::span<const std::byte>> decode_answer(std::span<const std::byte> message) {
  const Error strange(ErrorCode::kInternal, "not an answer");
  if (message.empty()) return strange;
  if (message.front() == std::byte{1}) return message.subspan(1);
  Reader reader(message.subspan(1));
  ErrorCode code{};
  std::string sentence;
  reader.number(code);
  reader.text(sentence, kMostSentence);
  if (!reader.done() || code == ErrorCode::kInternal || code > kLastErrorCode) return strange;
  return Error(code, std::move(sentence));
}

}  // namespace memwhy::files
