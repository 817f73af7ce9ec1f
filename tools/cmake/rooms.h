// SPDX-License-Identifier: Apache-2.0
// What nearly every room includes, compiled once for all rooms that are compiled at once: a quarter of a cold build was
// reading these headers again. Rooms include what they use all the same; tools/soak alone compiles each source without this.
// Of ours only what a change of compiles every room again anyway.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/text.h"
#include "events/event.h"
