// SPDX-License-Identifier: Apache-2.0
// The page without its data, built of web/ by web/build.mjs: what stands before the blocks, and what behind.
#pragma once

#include <string_view>

namespace memwhy::html {

std::string_view page_head();
std::string_view page_tail();

}  // namespace memwhy::html
