// SPDX-License-Identifier: Apache-2.0
// memwhy doctor: what this machine and these privileges allow, and what is degraded.
#include <fmt/format.h>

#include "app/command.h"
#include "app/environment.h"
#include "app/live.h"

namespace memwhy::app {
namespace {

std::string line(const std::string& name, const std::string& state, const std::string& remark) {
  const std::string text = fmt::format("  {:<26} {:<22} {}", name, state, remark);
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::string capabilities_text() {
  std::string text = "Capabilities of this process\n";
  for (const Capability& capability : own_capabilities()) {
    const std::string without =
        capability.without.empty() ? "recording is impossible" : "without it " + capability.without;
    text += line(capability.name, capability.held ? "yes" : "MISSING",
                 "to " + capability.purpose + (capability.held ? "" : "; " + without));
  }
  text += "\nOf these a recording keeps, once it is attached\n";
  const std::vector<events::Privilege> kept = own_privileges(false).told();
  for (const events::Privilege& each : kept) text += line(each.name, "kept", each.reason);
  if (kept.empty()) text += "  none\n";
  return text;
}

std::string kernel_text() {
  std::string text = "\nThis kernel\n";
  for (const Feature& feature : kernel_features())
    text += line(feature.name, feature.state, feature.degraded);
  return text;
}

std::string hooks_text(const Result<events::HookReport>& report) {
  std::string text = "\nHooks, as they would be attached\n";
  if (!report) return text + "  none: " + report.error().message() + "\n";
  for (const events::Hook& hook : report->hooks) {
    text += line(hook.name, hook.attach, hook.purpose);
  }
  text += line("reading of stacks", report->stack_read,
               report->stack_read == "direct"
                   ? ""
                   : "each new stack costs more: this kernel has no direct read (6.2)");
  text += report->not_seen.empty() ? "  nothing is left unseen\n" : "\nWhat is not seen therefore\n";
  for (const std::string& sentence : report->not_seen) text += "  " + sentence + "\n";
  return text;
}

}  // namespace

Command add_doctor(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("doctor", "Say what can be recorded here: capabilities, kernel features, hooks");
  set_usage(*options, "memwhy doctor");
  return {options, false, [](const std::vector<std::string>&) -> Status {
            Status possible = check_recording_possible();
            if (const Result<procfs::Root> proc = procfs::Root::open("/proc"); possible && proc)
              possible = check_namespace(*proc);
            std::string text = capabilities_text() + kernel_text();
            if (possible) {
              // Attaches everything to memwhy itself for a moment: the results are tried, not guessed.
              const Result<events::HookReport> hooks = try_hooks();
              text += hooks_text(hooks);
              if (!hooks) possible = hooks.error();
            }
            if (possible) text += "\nRecording works here.\n";
            if (Status printed = print(text); !printed) return printed;
            return possible;
          }};
}

}  // namespace memwhy::app
