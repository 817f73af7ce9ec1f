// SPDX-License-Identifier: Apache-2.0
#include "explain/short_names.h"

#include <gtest/gtest.h>

namespace memwhy::explain {
namespace {

TEST(ShortNames, go) {
  EXPECT_EQ(short_function("main.(*job).load"), "main.(*job).load");
  EXPECT_EQ(short_function("local function after qsort_r+0x1c30"), "local function after qsort_r+0x1c30");
  EXPECT_EQ(short_function("main.run.func1.1"), "main.run.func1.1");
  EXPECT_EQ(short_function("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).Get"),
            "pool.(*ConnPool).Get");
  EXPECT_EQ(short_function("main.Map[go.shape.int,go.shape.string]"), "main.Map[...]");
  EXPECT_EQ(short_function("main.(*Cache[go.shape.string]).Put"), "main.(*Cache[go.shape.string]).Put");
  EXPECT_EQ(short_function("example.com/a.Of[example.com/b/c.T]"), "a.Of[...]");
  EXPECT_EQ(short_function("gopkg.in/yaml%2ev3.unmarshal"), "yaml.v3.unmarshal");
  EXPECT_EQ(short_function("runtime.mallocgc"), "runtime.mallocgc");
}

TEST(ShortNames, cpp) {
  EXPECT_EQ(short_function("void std::vector<int, std::allocator<int> >::push_back(int&&)"),
            "std::vector<...>::push_back");
  EXPECT_EQ(short_function("leak(std::map<int, std::string> const&)"), "leak");
  EXPECT_EQ(short_function("ns::(anonymous namespace)::helper(int) [clone .cold]"), "ns::helper");
  EXPECT_EQ(short_function("Cache::get(int) const"), "Cache::get");
  EXPECT_EQ(short_function("operator new(unsigned long)"), "operator new");
  EXPECT_EQ(short_function("operator new[](unsigned long)"), "operator new[]");
  EXPECT_EQ(short_function("std::ostream& std::operator<< <char>(std::ostream&, char)"),
            "std::operator<<<...>");
  EXPECT_EQ(short_function("A::operator()(int) const"), "A::operator()");
  EXPECT_EQ(short_function("__sanitizer::ThreadContextBase::ThreadContextBase(unsigned int)"),
            "__sanitizer::ThreadContextBase::ThreadContextBase");
  EXPECT_EQ(short_function("main"), "main");
}

TEST(ShortNames, rust) {
  EXPECT_EQ(short_function("core::ptr::drop_in_place::h0123456789abcdef"), "core::ptr::drop_in_place");
  EXPECT_EQ(short_function("<alloc::vec::Vec<T,A> as core::iter::Extend<T>>::extend"),
            "<Vec<...> as Extend<...>>::extend");
}

// A name can be anything: what is not understood is left as it is, and nothing is lost to nothing.
TEST(ShortNames, hostile) {
  EXPECT_EQ(short_function(""), "");
  EXPECT_EQ(short_function("a<b"), "a<b");
  EXPECT_EQ(short_function("("), "(");
  EXPECT_EQ(short_function("()"), "()");
  EXPECT_EQ(short_function(std::string(100'000, '<')), std::string(100'000, '<'));
  EXPECT_EQ(short_function(std::string(4000, '<')), std::string(4000, '<'));
  EXPECT_EQ(short_function("::h0123456789abcdef"), "::h0123456789abcdef");
}

}  // namespace
}  // namespace memwhy::explain
