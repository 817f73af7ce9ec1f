// SPDX-License-Identifier: Apache-2.0
// Front: the process of the agent that listens, on HTTP and on a unix socket. It holds no capability and knows nothing: what it
// is asked it asks the agent (channel.h), but for recordings, which it reads from the folder.
//
//   GET /metrics            kMetrics ─► agent ─► text
//   GET /recordings/NAME    a file of the folder, if its name is one of a recording (--serve-recordings, and the token)
//   GET /debug/pprof/…      kProfile ─► agent ─► pprof (the token)
//   unix: "trigger 4711\n"  uid of the peer: root's or the agent's own; kTrigger ─► agent ─► "0 closing …\n"
//
// Limits: kMostConnections in all and kMostOfOne of an address, each with a thread; for a request's head kMostMemory and
// 10 s, whether silent or slow; for an answer the same of silence, and 10 minutes (deadlines.h). Only GET and HEAD. Whoever is
// slow holds up himself alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "agent/channel.h"
#include "base/fd.h"
#include "base/result.h"

namespace memwhy::agent {

struct FrontOptions {
  std::string listen;  // "127.0.0.1:9435", "[::1]:9435"; "none": no HTTP
  std::string socket;  // a path; "none"
  std::string folder;  // whose recordings are served; "": none
  std::string token;   // token.h; "": neither recordings nor profiles
};

constexpr unsigned kMostConnections = 32, kMostOfOne = 16;
constexpr size_t kMostMemory = size_t{16} << 10;

struct Address {
  std::string host;
  uint16_t port = 0;
};
// kUsage: not an address.
Result<Address> parse_address(const std::string& text);

// As text over a descriptor, so that it is on no command line; one field a line.
std::string encode(const FrontOptions& options);
FrontOptions decode(const std::string& text);

// Listens, calls `ready`, and serves until the agent is gone; then the process ends. An Error: it can't listen.
Status serve(const FrontOptions& options, const Fd& channel, const std::function<void()>& ready);

// What a client does: sends one line, gives back the status and the text. kTargetGone: nobody listens there.
struct Reply {
  uint32_t status = 0;
  std::string text;
};
Result<Reply> ask_agent(const std::string& socket, const std::string& line);

}  // namespace memwhy::agent
