// SPDX-License-Identifier: Apache-2.0
// Function names as people write them: without the compiler's additions and without the path of their package. Not for
// matching (rules see whole names), and not escaped (report/ does that).
//
//   github.com/redis/go-redis/v9/internal/pool.(*ConnPool).Get       pool.(*ConnPool).Get
//   main.Map[go.shape.int,go.shape.string]                           main.Map[...]
//   void std::vector<int, std::allocator<int> >::push_back(int&&)    std::vector<...>::push_back
//   <alloc::vec::Vec<T,A> as core::iter::Extend<T>>::extend          <Vec<...> as Extend<...>>::extend
//   core::ptr::drop_in_place::h0123456789abcdef                      core::ptr::drop_in_place
#pragma once

#include <string>
#include <string_view>

namespace memwhy::explain {

std::string short_function(std::string_view name);

}  // namespace memwhy::explain
