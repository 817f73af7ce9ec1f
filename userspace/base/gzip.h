// SPDX-License-Identifier: Apache-2.0
// GzipStream: bytes in, gzip out, in pieces. The same bytes give the same file: it holds neither a name nor a time.
//
//   GzipStream packed(GzipStream::Effort::kBest, [&](std::string_view bytes) { out += bytes; });
//   packed.put(text);
//   packed.finish();
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace memwhy {

class GzipStream {
 public:
  using Sink = std::function<void(std::string_view bytes)>;
  enum class Effort : uint8_t { kUsual, kBest };

  GzipStream(Effort effort, Sink sink);  // std::bad_alloc
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  void put(std::string_view bytes);
  void finish();  // what is left; nothing may be put after it

 private:
  struct State;
  void deflate(std::string_view bytes, bool last);

  Sink sink_;
  std::unique_ptr<State> state_;
};

}  // namespace memwhy
