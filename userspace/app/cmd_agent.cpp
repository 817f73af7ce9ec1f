// SPDX-License-Identifier: Apache-2.0
// memwhy agent: watches the node, keeps the minutes before each surprise. Also what asks a running one.
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "agent/token.h"
#include "app/agent_loop.h"
#include "app/agent_settings.h"
#include "app/command.h"
#include "app/environment.h"
#include "app/limits.h"
#include "base/exit_status.h"

namespace memwhy::app {
namespace {

constexpr pid_t kLastPid = 1 << 22;  // of the kernel's

constexpr const char* kAgentExamples = R"(Examples:
  memwhy agent                                    as root or with the capabilities of memwhy record; Ctrl-C ends it
  memwhy agent --comm api --growth 128M --keep 30m
  memwhy agent --check /etc/memwhy/agent.toml     is the file good?
  memwhy agent status                             of the one that runs: what it watches, costs and keeps
  memwhy agent top                                units by memory, and how far back the ring of each reaches
  memwhy agent trigger 4711                       keep the recording of this process now
  memwhy agent recordings
  memwhy agent stop
  go tool pprof http://any:TOKEN@127.0.0.1:9435/debug/pprof/resident?unit=web.service   with --token-file

Each of the largest processes is recorded into a ring of the last minutes. The ring becomes a recording when its unit (a
systemd service, a container, or the name of the process) grows or steps, when its cgroup hits memory.high or its limit, comes
near it or waits for memory, when the node does, when the kernel kills it for memory, when a signal ends it by surprise, when a
certain problem is found, or when it is asked for.
Then: memwhy explain /var/lib/memwhy/HOST_UNIT_TIME_CAUSE.memwhy

An agent that is stopped (stop, SIGTERM, Ctrl-C) first closes what has fired, for up to 20 s; other rings go with it. One that is
killed leaves its rings, and the next one makes recordings of them (CAUSE: interrupted).

It keeps to --budget by scans that are farther apart, then by fewer processes, and at last by none for a stated time: the log,
the metrics and each recording say when.

Every option is a key of /etc/memwhy/agent.toml (growth = "128M", comm = ["api", "web"]) and a variable (MEMWHY_GROWTH=128M);
options win over variables, and these over the file. SIGHUP has the file read again; one that is wrong changes nothing.)";

struct AgentRequest {
  std::string action, file, check;
  Pid pid = 0;
  std::vector<std::string> words;
};

std::vector<std::string> environment() {
  std::vector<std::string> all;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) all.emplace_back(*each);
  return all;
}

// The usual file need not be there.
std::string file_of(const AgentRequest& request) {
  if (!request.file.empty()) return request.file;
  std::error_code error;
  return std::filesystem::exists(kAgentFile, error) ? kAgentFile : "";
}

Result<AgentSettings> read_settings(const AgentRequest& request) {
  return layered_settings(file_of(request), environment(), request.words);
}

// Blocked for this thread and all that it starts.
Result<Fd> take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return errno_error(ErrorCode::kEnvironment, "waiting for signals", errno);
  return signals;
}

record::SessionOptions session_options_of(const AgentSettings& settings, const procfs::Root& proc) {
  record::SessionOptions options;
  options.info = proc.host();
  options.info.tool_version = MEMWHY_VERSION;
  options.info.what = {"by memwhy agent"};
  options.probes.allowed = !settings.no_uprobes;
  options.end_alone = false;
  return options;
}

// Where its socket is, which a service manager has made else.
void make_run_folder(const std::string& socket) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(socket).parent_path();
  if (folder == std::filesystem::path(kAgentSocket).parent_path())
    std::filesystem::create_directory(folder, error);
}

Result<agent::FrontOptions> front_options_of(const AgentSettings& settings) {
  agent::FrontOptions options{settings.listen, settings.socket,
                              settings.serve_recordings ? settings.dir : std::string(), ""};
  if (settings.token_file.empty()) return options;
  Result<std::string> token = agent::read_token(settings.token_file);
  if (!token) return std::move(token).error();
  options.token = *std::move(token);
  return options;
}

Status run_agent(const AgentRequest& request) {
  Result<AgentSettings> settings = read_settings(request);
  if (!settings) return std::move(settings).error();
  if (Status possible = check_recording_possible(); !possible) return possible.error();
  Result<procfs::Root> proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  if (Status ours = check_namespace(*proc); !ours) return ours.error();
  Result<Fd> signals = take_signals();
  if (!signals) return std::move(signals).error();
  agent::Notify notify;
  Result<agent::Store> store = agent::Store::open(settings->dir);
  if (!store) return std::move(store).error();
  raise_open_files();
  no_core_files();

  std::optional<FrontProcess> front;
  if (settings->listen != "none" || settings->socket != "none") {
    make_run_folder(settings->socket);
    Result<agent::FrontOptions> listening = front_options_of(*settings);
    if (!listening) return std::move(listening).error();
    Result<FrontProcess> started = FrontProcess::start(*std::move(listening));
    if (!started) return std::move(started).error();
    front.emplace(std::move(*started));
  }
  const auto recorder =
      std::make_shared<agent::Recorder>(store->rings(), settings->ring(), settings->cgroup_rules());
  const PrivilegePlan privileges = own_privileges(true);
  Result<procfs::Root> session_proc = procfs::Root::open("/proc");
  if (!session_proc) return std::move(session_proc).error();
  Result<PartsPtr> parts =
      assemble(std::move(*session_proc), privileges, {{recorder.get(), "the rings", false}}, recorder,
               session_options_of(*settings, *proc), {}, true);
  if (!parts) return std::move(parts).error();
  record::Session& session = (*parts)->session;
  if (Status started = session.start(); !started) return started.error();
  if ((*parts)->teaching)
    (*parts)->teaching->tell([&session](const std::string& sentence) { session.notice(sentence); });
  session.attached();
  if (Status kept = keep_only(privileges.main); !kept) warn(kept.error().message());
  AgentLoop loop({*proc, *store, recorder, session, front ? &*front : nullptr, notify, *signals}, *settings,
                 [&request] { return read_settings(request); });
  return loop.run();
}

Status ask(const AgentRequest& request) {
  const Result<AgentSettings> settings = read_settings(request);
  if (!settings) return settings.error();
  std::string line = request.action;
  if (request.action == "trigger") line += fmt::format(" {}", request.pid);
  Result<agent::Reply> reply = agent::ask_agent(settings->socket, line);
  if (!reply) return std::move(reply).error();
  if (reply->status == 0) return print(reply->text);
  if (reply->text.ends_with('\n')) reply->text.pop_back();
  const auto code = static_cast<int>(reply->status);
  for (const ErrorCode each :
       {ErrorCode::kTargetGone, ErrorCode::kUsage, ErrorCode::kEnvironment, ErrorCode::kTooLate})
    if (exit_status(each) == code) return Error(each, reply->text);
  return Error(ErrorCode::kInternal, reply->text);
}

Status agent_command(const AgentRequest& request) {
  if (!request.check.empty()) {
    if (Status good = check_agent_file(request.check); !good) return good;
    return print(request.check + " is good\n");
  }
  if ((request.action == "trigger") != (request.pid != 0))
    return Error(ErrorCode::kUsage, "memwhy agent trigger PID; and only trigger is about a process");
  return request.action == "run" ? run_agent(request) : ask(request);
}

}  // namespace

Command add_agent(CLI::App& program) {
  CLI::App* options = program.add_subcommand(
      "agent", "Watch every process of a node, and keep the minutes before each surprise");
  options->footer(kAgentExamples);
  set_usage(*options, "memwhy agent [run | status | top | recordings | trigger PID | stop] [OPTIONS]");
  const auto request = std::make_shared<AgentRequest>();
  const auto settings = std::make_shared<AgentSettings>();
  request->action = "run";
  options->add_option("ACTION", request->action, "run it (if nothing is said), or ask the one that runs")
      ->check(CLI::IsMember({"run", "status", "top", "recordings", "trigger", "stop"}).description(""))
      ->type_name("");
  options->add_option("PID", request->pid, "of trigger: a process whose ring becomes a recording")
      ->check(CLI::Range(1, kLastPid).description(""))
      ->type_name("");
  options->add_option("--config", request->file, "read this file in place of /etc/memwhy/agent.toml")
      ->type_name("FILE");
  options->add_option("--check", request->check, "only say whether this configuration is good")
      ->type_name("FILE");
  add_agent_options(*options, *settings);
  return {options, false, [request, settings, options](const std::vector<std::string>&) -> Status {
            AgentRequest asked = *request;
            asked.words = given_words(*options);
            return agent_command(asked);
          }};
}

}  // namespace memwhy::app
