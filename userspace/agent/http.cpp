// SPDX-License-Identifier: Apache-2.0
#include "agent/http.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "agent/deadlines.h"
#include "agent/front.h"
#include "agent/token.h"
#include "base/exit_status.h"

namespace memwhy::agent {
namespace {

constexpr std::chrono::seconds kAgentAnswers{10}, kProfileIsMade{50};  // pprof itself waits for 60 s
constexpr std::chrono::minutes kAnswerIsRead{10};
constexpr std::string_view kEnding = ".memwhy";
constexpr std::string_view kRecordings = "/recordings", kProfile = "/debug/pprof/resident";
constexpr const char* kBinary = "application/octet-stream";
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kExposition = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

MHD_Result queue(MHD_Connection* connection, unsigned status, MHD_Response* response, const char* type) {
  MHD_add_response_header(response, "Content-Type", type);
  MHD_add_response_header(response, "Connection", "close");
  if (status == MHD_HTTP_UNAUTHORIZED) {
    MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"memwhy\"");
  }
  const MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

MHD_Result answer(MHD_Connection* connection, unsigned status, const std::string& body, const char* type) {
  MHD_Response* const response = MHD_create_response_from_buffer(body.size(), const_cast<char*>(body.data()),
                                                                 MHD_RESPMEM_MUST_COPY);  // NOLINT: it copies
  return response == nullptr ? MHD_NO : queue(connection, status, response, type);
}

bool wants_open_metrics(MHD_Connection* connection) {
  const char* const accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
  return accept != nullptr &&
         std::string_view(accept).find("application/openmetrics-text") != std::string_view::npos;
}

std::string list_of(const std::string& folder) {
  std::string out = "[";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (!is_recording_name(name)) continue;
    out += fmt::format("{}\n{{\"name\":\"{}\",\"bytes\":{}}}", out.size() == 1 ? "" : ",", name,
                       entry.file_size(error));
  }
  return out + "\n]\n";
}

MHD_Result send_file(MHD_Connection* connection, const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat is {};
  if (!file || ::fstat(file.get(), &is) != 0 || !S_ISREG(is.st_mode))
    return answer(connection, MHD_HTTP_NOT_FOUND, "there is no such recording\n", kText);
  MHD_Response* const response = MHD_create_response_from_fd64(static_cast<uint64_t>(is.st_size), file.get());
  if (response == nullptr) return MHD_NO;
  file.release();  // the response closes it
  return queue(connection, MHD_HTTP_OK, response, kBinary);
}

// As "Authorization: Bearer TOKEN", or the password of any user.
bool shows(MHD_Connection* connection, const std::string& token) {
  constexpr std::string_view kBearer = "Bearer ";
  const char* const said = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
  if (said == nullptr) return false;
  if (const std::string_view text = said; text.starts_with(kBearer))
    return is_token(text.substr(kBearer.size()), token);
  char* password = nullptr;
  char* const user = MHD_basic_auth_get_username_password(connection, &password);
  const bool right = password != nullptr && is_token(password, token);
  MHD_free(user);
  MHD_free(password);
  return right;
}

// Of what the agent said to a question.
unsigned http_status(uint32_t status) {
  if (status == 0) return MHD_HTTP_OK;
  return status == static_cast<uint32_t>(exit_status(ErrorCode::kTargetGone)) ? MHD_HTTP_NOT_FOUND
                                                                              : MHD_HTTP_SERVICE_UNAVAILABLE;
}

int socket_of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* const info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == nullptr ? -1 : info->connect_fd;
}

}  // namespace

// What is printable, so that it needs no escape anywhere; begins with no dot.
bool is_recording_name(const std::string& name) {
  return name.size() > kEnding.size() && name.size() < 256 && name.ends_with(kEnding) &&
         name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
           return c > ' ' && c < 0x7f && c != '/' && c != '"' && c != '\\';
         });
}

struct Http::State {
  State(HttpOptions how, Asking& asks) : options(std::move(how)), asking(asks) {}
  ~State() {
    if (daemon != nullptr) MHD_stop_daemon(daemon);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MHD_Result from_agent(MHD_Connection* connection, const Question& question, const char* type,
                        std::chrono::seconds within = kAgentAnswers) const {
    const auto told = asking.ask(question, within);
    if (!told) return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the agent does not answer\n", kText);
    return answer(connection, http_status(told->first), told->second, told->first == 0 ? type : kText);
  }
  MHD_Result profile(MHD_Connection* connection) const {
    const char* const unit = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "unit");
    if (unit == nullptr)
      return answer(connection, MHD_HTTP_BAD_REQUEST,
                    "of which unit? ?unit=NAME; memwhy agent top lists them\n", kText);
    // The limit on silence is the client's, and it waits now.
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    const MHD_Result made =
        from_agent(connection, {0, Ask::kProfile, 0, unit_key(unit)}, kBinary, kProfileIsMade);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              static_cast<unsigned>(options.patience.count()));
    return made;
  }
  MHD_Result recordings(MHD_Connection* connection, const std::string& path) const {
    if (path == kRecordings)
      return answer(connection, MHD_HTTP_OK, list_of(options.folder), "application/json");
    const std::string name = path.substr(kRecordings.size() + 1);
    if (is_recording_name(name)) return send_file(connection, options.folder + "/" + name);
    return answer(connection, MHD_HTTP_NOT_FOUND, "there is no such recording\n", kText);
  }
  MHD_Result get(MHD_Connection* connection, const std::string& path) const {
    if (path == "/metrics") {
      const bool open = wants_open_metrics(connection);
      return from_agent(connection, {0, Ask::kMetrics, open ? 1 : 0, 0}, open ? kOpenMetrics : kExposition);
    }
    if (path == "/healthz") return from_agent(connection, {0, Ask::kHealth, 0, 0}, kText);
    const bool of_recordings = !options.folder.empty() && path.starts_with(kRecordings) &&
                               (path.size() == kRecordings.size() || path[kRecordings.size()] == '/');
    if (options.token.empty() || (path != kProfile && !of_recordings))
      return answer(connection, MHD_HTTP_NOT_FOUND,
                    "there is /metrics, /healthz and, where the agent has a token for them, "
                    "/debug/pprof/resident and /recordings\n",
                    kText);
    if (!shows(connection, options.token))
      return answer(connection, MHD_HTTP_UNAUTHORIZED, "this is for those who have the agent's token\n",
                    kText);
    return path == kProfile ? profile(connection) : recordings(connection, path);
  }
  static MHD_Result handle(void* self, MHD_Connection* connection, const char* path, const char* method,
                           const char* /*version*/, const char* /*upload*/, size_t* uploaded,
                           void** /*state*/) {
    State& state = *static_cast<State*>(self);
    state.deadlines.set(socket_of(connection), kAnswerIsRead);
    const std::string_view how = method;
    if ((how != "GET" && how != "HEAD") || *uploaded != 0)
      return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET alone is known here\n", kText);
    return state.get(connection, path);
  }
  static void comes_or_goes(void* self, MHD_Connection* connection, void** /*state*/,
                            MHD_ConnectionNotificationCode what) {
    State& state = *static_cast<State*>(self);
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
      state.deadlines.set(socket_of(connection), state.options.patience);
    else
      state.deadlines.remove(socket_of(connection));
  }

  const HttpOptions options;
  Asking& asking;
  Deadlines deadlines;
  MHD_Daemon* daemon = nullptr;
};

Http::Http(std::unique_ptr<State> state) : state_(std::move(state)) {}
Http::~Http() = default;

namespace {

struct Bound {
  sockaddr_storage address{};
  bool v6 = false;
};

Result<Bound> bound_of(const Address& at) {
  Bound bound;
  auto& v4 = reinterpret_cast<sockaddr_in&>(bound.address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(bound.address);
  if (::inet_pton(AF_INET, at.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(at.port);
    return bound;
  }
  bound.v6 = true;
  if (::inet_pton(AF_INET6, at.host.c_str(), &v6.sin6_addr) != 1)
    return Error(ErrorCode::kUsage, at.host + " is not the number of an address");
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(at.port);
  return bound;
}

}  // namespace

Result<std::unique_ptr<Http>> Http::start(HttpOptions options, Asking& asking) {
  const Result<Address> address = parse_address(options.listen);
  if (!address) return address.error();
  Result<Bound> bound = bound_of(*address);
  if (!bound) return std::move(bound).error();
  const auto patience = static_cast<unsigned>(options.patience.count());
  auto state = std::make_unique<State>(std::move(options), asking);
  unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
  if (bound->v6) flags |= MHD_USE_IPv6;
  errno = 0;
  state->daemon = MHD_start_daemon(
      flags, address->port, nullptr, nullptr, &State::handle, state.get(), MHD_OPTION_SOCK_ADDR,
      &bound->address, MHD_OPTION_CONNECTION_LIMIT, kMostConnections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
      kMostOfOne, MHD_OPTION_CONNECTION_TIMEOUT, patience, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMostMemory,
      MHD_OPTION_NOTIFY_CONNECTION, &State::comes_or_goes, state.get(), MHD_OPTION_LISTENING_ADDRESS_REUSE,
      1U, MHD_OPTION_END);
  if (state->daemon == nullptr)
    return errno_error(errno == EADDRINUSE ? ErrorCode::kConflict : ErrorCode::kEnvironment,
                       "can't listen on " + state->options.listen, errno == 0 ? EADDRINUSE : errno);
  return std::unique_ptr<Http>(new Http(std::move(state)));
}

}  // namespace memwhy::agent
