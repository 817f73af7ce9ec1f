// SPDX-License-Identifier: Apache-2.0
// Which field of the Go runtime each member of Layout is: what dwarf_layout.h looks for. The same list as
// tools/go_layout/fields.go, in the same order (a test compares them). Not where the fields are.
//
//   mspan  runtime.mspan   { size "", start_addr "startAddr", … }     g  runtime.g  { …, sched_sp "sched.sp" }
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "goruntime/layout.h"

namespace memwhy::goruntime {

struct LayoutField {
  std::string_view name;  // "start_addr"
  std::string_view path;  // "startAddr"; through nested structs "sched.sp"; "": the size of the struct
  uint32_t* (*size)(Layout&) = nullptr;  // one of the two
  Field* (*field)(Layout&) = nullptr;
};

struct LayoutStruct {
  std::string_view name;     // "mspan"
  std::string_view go_type;  // "runtime.mspan"
  std::span<const LayoutField> fields;
};

std::span<const LayoutStruct> layout_structs();

}  // namespace memwhy::goruntime
