// SPDX-License-Identifier: Apache-2.0
#include "app/agent_settings.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>

#include "agent/front.h"
#include "app/command.h"
#include "app/units.h"
#include "base/text.h"

namespace memwhy::app {
namespace {

constexpr size_t kLargestFile = size_t{1} << 20;
constexpr std::string_view kVariables = "MEMWHY_";

// One option and its values, and where they are from: "agent.toml:7".
struct Setting {
  std::string name;
  std::vector<std::string> values;
  std::string where;
};

Error refused(const std::string& where, const std::string& what) {
  return {ErrorCode::kUsage, where + ": " + what};
}

Result<std::string> text_of(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return refused(where, "a setting is a text, a number, true or false, or a list of texts");
}

Result<std::vector<Setting>> settings_in(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(kLargestFile, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) return Error(ErrorCode::kUsage, file + " can't be read");
  text.resize(static_cast<size_t>(stream.gcount()));
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return refused(fmt::format("{}:{}", file, error.source().begin.line), std::string(error.description()));
  }
  std::vector<Setting> settings;
  for (const auto& [key, node] : table) {
    Setting setting{std::string(key.str()), {}, fmt::format("{}:{}", file, node.source().begin.line)};
    std::vector<const toml::node*> values = {&node};
    if (const auto* list = node.as_array()) {
      values.clear();
      for (const toml::node& each : *list) values.push_back(&each);
    }
    for (const toml::node* each : values) {
      Result<std::string> value = text_of(*each, setting.where);
      if (!value) return std::move(value).error();
      setting.values.push_back(*std::move(value));
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

// "MEMWHY_RING_SIZE=8M" is ring-size. Other variables of that beginning are another program's.
std::vector<Setting> settings_of(const std::vector<std::string>& environment, const CLI::App& known) {
  std::vector<Setting> settings;
  for (const std::string& each : environment) {
    const size_t equals = each.find('=');
    if (!each.starts_with(kVariables) || equals == std::string::npos) continue;
    std::string name = each.substr(kVariables.size(), equals - kVariables.size());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '_' ? '-' : static_cast<char>(std::tolower(c)); });
    if (known.get_option_no_throw("--" + name) != nullptr)
      settings.push_back({name, {each.substr(equals + 1)}, each.substr(0, equals)});
  }
  return settings;
}

// A layer: each setting alone, so that what is refused has its place.
Status add_layer(const std::vector<Setting>& layer, AgentSettings& settings) {
  for (const Setting& setting : layer) {
    CLI::App options("", "memwhy agent");
    add_agent_options(options, settings);
    const CLI::Option* const option = options.get_option_no_throw("--" + setting.name);
    if (option == nullptr || setting.name == "help")
      return refused(setting.where, setting.name + " is no setting; see memwhy agent --help");
    std::vector<std::string> words;
    for (const std::string& value : setting.values)
      words.insert(words.begin(), "--" + setting.name + "=" + value);
    try {
      options.parse(words);
    } catch (const CLI::ParseError& error) {
      return refused(setting.where, error.what());
    }
  }
  return {};
}

Status check(const AgentSettings& settings, const std::string& where) {
  if (settings.listen != "none")
    if (const Result<agent::Address> address = agent::parse_address(settings.listen); !address)
      return refused(where, address.error().message());
  if (settings.serve_recordings && settings.token_file.empty())
    return refused(where, "serve-recordings gives recordings away: a token-file has to say to whom");
  if (settings.budget <= 0) return refused(where, "a budget of 0 leaves nothing to do");
  if (settings.ring_size < (2u << 20))
    return refused(where, fmt::format("a ring of {} holds no recording; 2 MiB is the least",
                                      human_bytes(settings.ring_size)));
  if (settings.ring_size > settings.disk)
    return refused(where, fmt::format("a ring of {} does not fit into a disk quota of {}",
                                      human_bytes(settings.ring_size), human_bytes(settings.disk)));
  return {};
}

}  // namespace

std::optional<Growth> parse_growth(std::string_view text) {
  const size_t comma = text.find(',');
  const std::string_view first = text.substr(0, comma);
  Growth growth{0, 0};
  if (comma != std::string_view::npos || !text.ends_with('%')) {
    const std::optional<uint64_t> bytes = parse_size(first);
    if (!bytes || *bytes == 0) return std::nullopt;
    growth.bytes = *bytes;
    if (comma == std::string_view::npos) return growth;
  }
  const std::string_view share = comma == std::string_view::npos ? text : text.substr(comma + 1);
  const std::optional<double> parsed = share.ends_with('%') ? parse_share(share) : std::nullopt;
  if (!parsed || *parsed == 0) return std::nullopt;
  growth.share = *parsed;
  return growth;
}

agent::SelectionRules AgentSettings::rules() const {
  agent::SelectionRules rules;
  rules.top = top;
  rules.min_rss_bytes = min_rss;
  rules.comms = comms;
  rules.cgroups = cgroups;
  rules.window = static_cast<TimeNs>(window.count());
  rules.growth_bytes = growth.bytes;
  rules.growth_share = growth.share;
  rules.step_bytes = step;
  return rules;
}

agent::CgroupRules AgentSettings::cgroup_rules() const {
  return {pressure, static_cast<TimeNs>(forecast.count()), static_cast<TimeNs>(window.count())};
}

// All rings together have half of the disk.
agent::RingLimits AgentSettings::ring() const {
  const uint64_t fair = disk / 2 / std::max<uint64_t>(top, 1);
  return {std::max<uint64_t>(std::min(ring_size, fair), 2u << 20), static_cast<TimeNs>(keep.count())};
}

void add_agent_options(CLI::App& command, AgentSettings& settings) {
  const auto text = [&](const char* name, auto& value, const char* help, const char* type) {
    command.add_option(name, value, help)
        ->type_name(type)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  const auto list = [&](const char* name, std::vector<std::string>& value, const char* help,
                        const char* type) {
    command.add_option(name, value, help)->type_name(type)->delimiter(',')->allow_extra_args(false);
  };
  text("--dir", settings.dir, "where recordings and rings are kept; default /var/lib/memwhy", "DIR");
  text("--listen", settings.listen, "address of /metrics and /healthz, or none; default 127.0.0.1:9435",
       "ADDRESS");
  text("--socket", settings.socket, "the agent's own socket, or none; default /run/memwhy/agent.sock",
       "PATH");
  text("--token-file", settings.token_file,
       "a file whose first line a client must show for /debug/pprof/resident and /recordings; without it "
       "there is neither",
       "FILE");
  text("--top", settings.top, "record at most so many processes; default 20", "N");
  add_size(command, "--min-rss", settings.min_rss, "record no process that is smaller; default 16M");
  list("--comm", settings.comms, "record processes of these names alone", "NAME");
  list("--cgroup", settings.cgroups,
       "record processes in these cgroups (/web) and below them alone, or these units (web.service)",
       "CGROUP");
  command
      .add_option_function<std::string>(
          "--growth",
          [&settings](const std::string& given) {
            const std::optional<Growth> growth = parse_growth(given);
            if (!growth)
              throw CLI::ValidationError("--growth",
                                         given + " is not a size or a share; write 64M, 10% or 64M,10%");
            settings.growth = *growth;
          },
          "keep a recording when a unit grows by this much, by this share of itself, or by both …; default "
          "64M,10%")
      ->type_name("SIZE[,SHARE]");
  add_duration(command, "--window", settings.window, "… within this time; default 5m");
  add_size(command, "--step", settings.step,
           "keep a recording when a unit grows by this much in 10 s; default 256M");
  add_share(command, "--pressure", settings.pressure,
            "keep a recording when tasks of a unit's cgroup, or of the node, wait for memory for so much of "
            "10 s; 0: never; default 10%");
  add_duration(command, "--forecast", settings.forecast,
               "keep a recording when the limit of a unit's cgroup is reached within this time, at this "
               "rate; default 30m");
  add_duration(command, "--cool-down", settings.cool_down,
               "between two recordings of a unit for the same reason; default 10m");
  text("--max-per-hour", settings.per_hour,
       "recordings for the same reason in an hour, of all units; default 6", "N");
  add_duration(command, "--keep", settings.keep, "how far back a recording reaches; default 15m");
  add_size(command, "--ring-size", settings.ring_size, "what that may take of each unit; default 64M");
  add_size(command, "--disk", settings.disk, "what everything in the folder may take; default 2G");
  add_size(command, "--memory", settings.memory, "what the agent may take itself; default 256M");
  add_share(command, "--budget", settings.budget,
            "what the agent may take of all CPUs, the kernel's work for it included; default 0.5%");
  text("--max-units", settings.max_units, "units with metrics of their own; default 200", "N");
  command.add_flag("--serve-recordings", settings.serve_recordings,
                   "serve /recordings over HTTP, to those who have the token");
  command.add_flag("--no-uprobes", settings.no_uprobes, "do not attach uprobes to the Go runtime");
}

std::vector<std::string> given_words(const CLI::App& given) {
  std::vector<std::string> words;
  AgentSettings ignored;
  CLI::App known("", "");
  add_agent_options(known, ignored);
  for (const CLI::Option* option :
       given.get_options([](const CLI::Option* each) { return each->count() > 0; })) {
    if (option->get_lnames().empty() ||
        known.get_option_no_throw("--" + option->get_lnames().front()) == nullptr)
      continue;
    for (const std::string& value : option->results())
      words.push_back("--" + option->get_lnames().front() + "=" + value);
  }
  return words;
}

Result<AgentSettings> layered_settings(const std::string& file, const std::vector<std::string>& environment,
                                       const std::vector<std::string>& words) {
  AgentSettings settings;
  CLI::App options("", "memwhy agent");
  add_agent_options(options, settings);
  if (!file.empty()) {
    const Result<std::vector<Setting>> layer = settings_in(file);
    if (!layer) return layer.error();
    if (Status applied = add_layer(*layer, settings); !applied) return applied.error();
  }
  if (Status applied = add_layer(settings_of(environment, options), settings); !applied)
    return applied.error();
  try {
    options.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return Error(ErrorCode::kUsage, error.what());
  }
  if (Status sensible = check(settings, file.empty() ? "memwhy agent" : file); !sensible)
    return sensible.error();
  return settings;
}

Status check_agent_file(const std::string& file) {
  const Result<AgentSettings> settings = layered_settings(file, {}, {});
  return settings ? Status{} : Status(settings.error());
}

}  // namespace memwhy::app
