// SPDX-License-Identifier: Apache-2.0
// StackDictionary: the stacks that pages name, numbered densely so that a PageWord has room for one.
// One for all spaces: a forked child shares the words of its parent.
#pragma once

#include <unordered_map>
#include <vector>

#include "timeline/page_word.h"

namespace memwhy::timeline {

class StackDictionary {
 public:
  // kLostStack when 2^24 - 2 distinct stacks have been named: the page is known, its stack is not.
  uint32_t index(StackId id) {
    if (id == StackId::kNone) return PageWord::kNoStack;
    if (id == StackId::kLost) return PageWord::kLostStack;
    if (id == last_id_) return last_index_;  // runs of one stack come together
    last_id_ = id;
    const auto it = index_.find(id);
    if (it != index_.end()) return last_index_ = it->second;
    const size_t next = ids_.size() + 1;
    if (next >= PageWord::kLostStack) return last_index_ = PageWord::kLostStack;
    ids_.push_back(id);
    index_.emplace(id, static_cast<uint32_t>(next));
    return last_index_ = static_cast<uint32_t>(next);
  }
  StackId id(uint32_t index) const {
    if (index == PageWord::kNoStack) return StackId::kNone;
    return index <= ids_.size() ? ids_[index - 1] : StackId::kLost;
  }
  size_t size() const { return ids_.size(); }

 private:
  std::vector<StackId> ids_;
  std::unordered_map<StackId, uint32_t> index_;
  StackId last_id_ = StackId::kNone;
  uint32_t last_index_ = PageWord::kNoStack;
};

}  // namespace memwhy::timeline
