// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error, and neither can be dropped by accident.
//
// What it is: the one way in which a function reports an expected failure (a process that is gone, a file that
// is damaged, a kernel that lacks a feature). What it is not: a channel for bugs; those are exceptions or
// aborts. What comes next: std::expected, when the compilers of the supported systems have it.
//
//   Result<Fd> fd = open_at(dir, "maps");
//   if (!fd) return std::move(fd).error().with("reading the address space");
//   use(*fd);
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace memwhy {

// What kind of failure it is: what a caller can do about it. Which exit status a kind means is base/exit_status.h.
enum class ErrorCode : uint8_t {
  kInternal,     // our bug
  kUsage,        // the command line or an argument makes no sense
  kTargetGone,   // no such process, or it exited
  kEnvironment,  // permission, kernel feature, architecture
  kBadInput,     // a file that is not ours, damaged beyond use, or newer
  kOutput,       // disk full, exists, read-only
  kConflict,     // what it needs is in use: the recording before is still ending
  kAbsent,       // what was to be read is not there now: a page that is not resident, a file that was closed
  kDamaged,      // what was read contradicts itself, or changed while it was read
  kLimit,        // it would take more than its budget
  kTooLate,      // no answer before the deadline
  kUnmet,        // the answer is there, and is not what the user demanded (--fail-on, a limit)
};
constexpr ErrorCode kLastErrorCode = ErrorCode::kUnmet;

// One sentence for a person, and a code for the exit status. `message` has no newline and no full stop.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // Puts what was being done in front: "reading maps of pid 7: no such process".
  Error with(const std::string& doing) && { return {code_, doing + ": " + message_}; }

 private:
  ErrorCode code_;
  std::string message_;
};

// errno as text appended to `doing`; ENOENT and ESRCH below /proc mean that the target is gone, so the caller
// names the code.
inline Error errno_error(ErrorCode code, const std::string& doing, int err) {
  return {code, doing + ": " + std::generic_category().message(err)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  // Precondition: ok(). Throws std::bad_variant_access otherwise, which is a bug of the caller.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Precondition: !ok().
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

// An operation without a value: Status{} is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  explicit operator bool() const { return ok(); }
  bool ok() const { return error_.index() == 0; }
  const Error& error() const& { return std::get<1>(error_); }
  Error&& error() && { return std::get<1>(std::move(error_)); }

 private:
  std::variant<std::monostate, Error> error_;
};

using Status = Result<void>;

}  // namespace memwhy
