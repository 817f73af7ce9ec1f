// SPDX-License-Identifier: Apache-2.0
// The explanation as JSON, format memwhy.explain/1. Every key is always there; what is unknown is null.
// README.md of this folder lists the keys beyond the base of the format, and those of JsonOptions::cells.
#pragma once

#include <string>

#include "explain/explanation.h"

namespace memwhy::report {

struct JsonOptions {
  bool cells = false;  // with the whole attribution table: "frames", "stacks", "mappings", "cells"
};

// Pure ASCII, two spaces of indent, with a newline at the end.
std::string to_json(const explain::Explanation& explanation, const JsonOptions& options = {});

}  // namespace memwhy::report
