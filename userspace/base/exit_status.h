// SPDX-License-Identifier: Apache-2.0
// The exit status of a program for each kind of failure: a promise to scripts, and so apart from the kinds.
#pragma once

#include "base/result.h"

namespace memwhy {

constexpr int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal:
      return 1;
    case ErrorCode::kUsage:
      return 2;
    case ErrorCode::
        kAbsent:  // of readings of a process, which a report mentions: no command ends with one of these
    case ErrorCode::kDamaged:
    case ErrorCode::kLimit:
    case ErrorCode::kTooLate:
    case ErrorCode::kUnmet:
      return 3;
    case ErrorCode::kTargetGone:
      return 4;
    case ErrorCode::kEnvironment:
      return 5;
    case ErrorCode::kBadInput:
      return 6;
    case ErrorCode::kOutput:
      return 7;
    case ErrorCode::kConflict:
      return 8;
  }
  return 1;
}

}  // namespace memwhy
