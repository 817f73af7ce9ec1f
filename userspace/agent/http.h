// SPDX-License-Identifier: Apache-2.0
// Http: the front's HTTP server, over libmicrohttpd: a thread for each connection, bounded in number, silence and time (front.h). One
// request for each connection.
//
//   GET /metrics, /healthz                     anybody
//   GET /recordings, /recordings/NAME          with the token, as a bearer or as the password of basic authentication
//   GET /debug/pprof/resident?unit=NAME        the same: go tool pprof http://any:TOKEN@127.0.0.1:9435/debug/pprof/resident?unit=api
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "agent/asking.h"
#include "base/result.h"

namespace memwhy::agent {

struct HttpOptions {
  std::string listen;  // "127.0.0.1:9435"
  std::string folder;  // whose recordings are served; "": none
  std::string token;   // "": neither recordings nor profiles
  std::chrono::seconds patience{10};
};

class Http {
 public:
  // kConflict: the port is taken. `asking` must outlive it.
  static Result<std::unique_ptr<Http>> start(HttpOptions options, Asking& asking);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

 private:
  struct State;
  explicit Http(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A recording's name and nothing else: no way out of the folder.
bool is_recording_name(const std::string& name);

}  // namespace memwhy::agent
