// SPDX-License-Identifier: Apache-2.0
// The words for values of the explanation, in one table for each kind: stable, part of memwhy.explain/1.
#pragma once

#include <string>
#include <string_view>

#include "explain/explanation.h"
#include "explain/heaviest.h"

namespace memwhy::report {

std::string_view word(timeline::How how);              // "fault", "mmap site" …
std::string_view word(explain::EntryWhat what);        // "stack" | "file" | "vma"
std::string_view word(explain::EventWhat what);        // "gc" | "step" | "released" …
std::string_view word(explain::ProfileSource source);  // "buckets" | "file" …
std::string_view word(events::GoLayout layout);        // "table" | "dwarf" | "unverified" | "none"
std::string_view word(events::GoHolder::Kind kind);
std::string_view word(explain::FrameKind kind);         // "program" | "libc" …
std::string_view word(explain::FigureUnit unit);        // "bytes" | "count" …
std::string_view word(explain::FindingKind kind);       // "problem" | "explains"
std::string_view word(explain::Confidence confidence);  // "high" | "medium" | "low"
std::string_view word(explain::VerdictKind kind);       // "problem" | "no_problem" | "not_seen_long_enough"

// How an entry's bytes are known, "" where it makes no difference: "first touched; fault", "allocated (sampled)" …
std::string how_text(const explain::Entry& entry);

}  // namespace memwhy::report
