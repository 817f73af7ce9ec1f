// SPDX-License-Identifier: Apache-2.0
// Messages between memwhy and the child that reads the memory of targets. Requests and the bytes read stand in a window of
// memory that both have mapped: a message is four bytes, and now and then two descriptors.
//
//   window    0x0000  list: { 0xc000012000, 8,192 B, kRead } { 0xc0007f8000, 4,096 B, kRead } ...     max 512 pieces
//             0x8000  data: 8,192 B of the first, behind them 4,096 B of the second, ...              max 4 MiB
//   memwhy ── 2 (pieces) + mem and pagemap of 4711, when the one before was of another ──► child
//          ◄── 2 ────────────────────────────────────────────────────────────────────────┘  each piece: done, or why not
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "remote/memory.h"

namespace memwhy::files {

constexpr size_t kMostPieces = 512;
constexpr size_t kWindowData = 4 << 20;

enum class How : uint32_t { kRead, kTouched, kPresent, kCode };  // as the functions of RemoteMemory
enum class Outcome : uint32_t { kDone, kAbsent, kGone };

struct Wanted {
  uint64_t address = 0, bytes = 0;
  How how = How::kRead;
  Outcome outcome = Outcome::kAbsent;  // the child's, as is what follows
  uint64_t there = 0;                  // bytes, of kPresent
};

class Window {
 public:
  // A new one, in a file that cannot be shortened.
  static Result<Window> make();
  // Of the file that another process made.
  static std::optional<Window> of(Fd file);
  Window(Window&& other) noexcept;
  Window& operator=(Window&&) = delete;
  ~Window();

  const Fd& file() const { return file_; }
  // The other side may change both at any time.
  volatile Wanted* list() { return static_cast<volatile Wanted*>(start_); }
  std::byte* data() { return static_cast<std::byte*>(start_) + kListBytes; }

 private:
  static constexpr size_t kListBytes = 32 << 10;
  static_assert(kMostPieces * sizeof(Wanted) <= kListBytes);

  Window(Fd file, void* start) : file_(std::move(file)), start_(start) {}
  static std::optional<void*> map(const Fd& file);

  Fd file_;
  void* start_ = nullptr;
};

// mem, pagemap, and one that is only kept open.
constexpr size_t kMostFiles = 3;

// With as many of the files as are not -1, at the first. false: the other end is gone.
bool send_pieces(int socket, uint32_t pieces, std::span<const int> files);
enum class Heard : uint8_t { kWord, kNothing, kGone };
Heard hear_pieces(int socket, uint32_t& pieces, std::vector<Fd>* files);

}  // namespace memwhy::files
