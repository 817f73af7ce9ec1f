// SPDX-License-Identifier: Apache-2.0
// What a runtime declares so that its pages become lines of the ledger. Not an event; it is here because the room that reads a
// runtime writes it and explain/ (OwnerTable) uses it. It is the whole registration of a runtime there.
//
//   { "toy", owners {{"toy.used", "in use by the toy", "toy"}, {"toy.free", "free blocks of the toy", "toy"}},
//     uses {{"slab", "toy.used", slots {dead "toy.free", free "toy.free", rest "toy.free"}}, {"spare", "toy.free"}},
//     unknown "toy.free", tables "" }
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace memwhy::events {

// A line of the ledger. Its id is part of the JSON format: never renamed.
struct RuntimeOwner {
  std::string id, label;  // "toy.free", "free blocks of the toy"
  std::string family;     // lines that one cause answers for together
};

// Where the bytes of pages go that hold live, dead and free things side by side (RuntimeRun); ids of owners.
struct SlotOwners {
  std::string dead, free;
  std::string rest;              // what the runtime's tables and the scan do not agree on
  std::string whole = "pages";   // what such pages are called: "spans"
  bool in_heap_profile = false;  // the live ones are what a heap profile sees
};

struct UseOwner {
  std::string use;    // as in RuntimePages::uses
  std::string owner;  // of its pages; with `slots`: of their live bytes
  std::optional<SlotOwners> slots = std::nullopt;
};

struct RuntimeLines {
  std::string runtime;               // as in RuntimePages
  std::vector<RuntimeOwner> owners;  // that it adds to those of the ledger
  std::vector<UseOwner> uses;
  std::string unknown;      // of pages whose use is none of `uses`
  std::string tables = "";  // of a mapping that holds structures of the runtime; "": no line
};

}  // namespace memwhy::events
