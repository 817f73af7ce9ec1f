// SPDX-License-Identifier: Apache-2.0
// Names: which names of a recording are public (libc, runtimes, allocators, the standard libraries, well-known modules), and
// what replaces the others. What an explanation depends on stays as it is: the kind of every frame, the files of runtimes
// and allocators, the names that the kernel gives mappings.
//
//   function  main.(*billing).load       main.(*kadogila).befozemi           runtime.mallocgc   stays
//   path      /srv/acme/billing          /srv/zenoriba/fadeliko              /usr/lib/x86_64-linux-gnu/libc.so.6   stays
//   cgroup    /kubepods/pod3f2a…/4f5a…   /kubepods/pod91c0…/07de…
//   mapping   [anon:ledger]              [anon:tapiseko]                     [anon: Go: heap]   stays
//
// What it is not: a proof. A name that is on a list of public ones is taken for public.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "anonymize/words.h"

namespace memwhy::anonymize {

class Names {
 public:
  explicit Names(std::string_view key) : words_(key) {}

  // `module`: the file that the code is in, without path; `go`: it is a Go program.
  std::string function(std::string_view name, std::string_view file, std::string_view module, bool go);
  // Of sources: that of a function which stays keeps its name, not its directory.
  std::string source(std::string_view path, bool of_public);
  std::string path(std::string_view path);  // of a file that is mapped; " (deleted)" stays
  std::string mapping(std::string_view name);
  std::string cgroup(std::string_view path);
  std::string comm(std::string_view name);
  std::string go_module(std::string_view path);
  std::string variable(std::string_view name);
  std::string word(std::string_view name) { return name.empty() ? "" : words_.word(name); }
  std::string digits(std::string_view hex) const { return words_.digits(hex); }
  // A sentence of memwhy's that may contain paths and names of processes.
  std::string sentence(const std::string& text);

  static bool is_public_file(std::string_view path);
  static bool is_public_function(std::string_view name, std::string_view file, std::string_view module,
                                 bool go);

 private:
  std::string component(std::string_view name);
  std::string identifiers(std::string_view text);
  std::string arguments(std::string_view name, std::string_view open, std::string_view close);

  Words words_;
};

}  // namespace memwhy::anonymize
