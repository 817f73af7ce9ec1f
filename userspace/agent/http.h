// SPDX-License-Identifier: Apache-2.0
// Http: the front's HTTP server, over libmicrohttpd: a thread for each connection, bounded in number and patience (front.h).
#pragma once

#include <memory>
#include <string>

#include "agent/asking.h"
#include "base/result.h"

namespace memwhy::agent {

class Http {
 public:
  // kConflict: the port is taken. `folder`: whose recordings are served; "" none. `asking` must outlive it.
  static Result<std::unique_ptr<Http>> start(const std::string& listen, std::string folder, Asking& asking);
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
