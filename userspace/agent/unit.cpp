// SPDX-License-Identifier: Apache-2.0
#include "agent/unit.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "explain/container.h"

namespace memwhy::agent {
namespace {

constexpr size_t kIdDigits = 64, kShortDigits = 12;
constexpr size_t kMostNames = 10'000;
constexpr size_t kLongestFileName = 100;

// How the name of a container's cgroup begins, and of whose it is.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRuntimes{{
    {"docker-", "docker"},
    {"libpod-", "podman"},
    {"crio-", "cri-o"},
    {"cri-containerd-", "containerd"},
    {"nerdctl-", "containerd"},
}};

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end != 0) parts.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

std::string_view runtime_of(std::string_view cgroup) {
  std::string_view found = "container";
  for (const std::string_view part : parts_of(cgroup)) {
    for (const auto& [prefix, runtime] : kRuntimes)
      if (part.starts_with(prefix)) found = runtime;
    if (part.find(":cri-containerd:") != std::string_view::npos) found = "containerd";
    if (part == "docker" && found == "container") found = "docker";  // cgroupfs: /docker/<id>
  }
  return found;
}

// The systemd unit. A user's manager is none, and what it starts has a service of its own or is a session.
std::string_view service_of(std::string_view cgroup) {
  std::string_view found;
  for (const std::string_view part : parts_of(cgroup)) {
    if (part.ends_with(".scope")) return {};
    if (part.ends_with(".service") && !part.starts_with("user@")) found = part;
  }
  return found;
}

}  // namespace

std::optional<ContainerName> parse_log_name(std::string_view file) {
  constexpr std::string_view kEnd = ".log";
  if (!file.ends_with(kEnd)) return std::nullopt;
  file.remove_suffix(kEnd.size());
  if (file.size() < kIdDigits + 2 || file[file.size() - kIdDigits - 1] != '-') return std::nullopt;
  const std::string_view id = file.substr(file.size() - kIdDigits);
  if (explain::container_of(id) != id) return std::nullopt;
  file.remove_suffix(kIdDigits + 1);
  const size_t first = file.find('_');
  const size_t second = first == std::string_view::npos ? first : file.find('_', first + 1);
  if (second == std::string_view::npos || first == 0 || second == first + 1 || second + 1 == file.size())
    return std::nullopt;
  const auto text = [](std::string_view part) { return std::string(part); };
  return ContainerName{text(id), text(file.substr(first + 1, second - first - 1)) + "/" +
                                     text(file.substr(0, first)) + "/" + text(file.substr(second + 1))};
}

ContainerNames read_container_names(const std::string& folder) {
  ContainerNames names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (names.size() >= kMostNames) break;
    if (auto name = parse_log_name(at->path().filename().native()))
      names.insert_or_assign(std::move(name->id), std::move(name->name));
  }
  return names;
}

std::string unit_of(std::string_view cgroup, std::string_view comm, const ContainerNames& names) {
  if (const auto id = explain::container_of(cgroup)) {
    const auto known = names.find(*id);
    if (known != names.end()) return known->second;
    return std::string(runtime_of(cgroup)) + ":" + id->substr(0, kShortDigits);
  }
  const std::string_view service = service_of(cgroup);
  return std::string(service.empty() ? comm : service);
}

std::string file_name_of(std::string_view unit) {
  std::string name(unit.substr(0, kLongestFileName));
  for (char& c : name) {
    if (c == '/') c = '+';
    if (c <= ' ' || c >= 0x7f) c = '_';
  }
  if (name.empty() || name.front() == '.') name.insert(0, "_");
  return name;
}

}  // namespace memwhy::agent
