// SPDX-License-Identifier: Apache-2.0
// The page without its data, built from web/ by web/build.mjs: the parts before and after the blocks.
#pragma once

#include <string_view>

namespace memwhy::html {

std::string_view page_head();
std::string_view page_tail();

}  // namespace memwhy::html
