// SPDX-License-Identifier: Apache-2.0
#include "app/debug_names.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "symbols/debug_files.h"

namespace memwhy::app {
namespace {

// Without a line there was no debug information.
bool lacks_something(const events::SymbolInfo& symbol) {
  return std::all_of(symbol.frames.begin(), symbol.frames.end(),
                     [](const events::SourceFrame& frame) { return frame.file.empty(); });
}

bool is_named(const events::SymbolInfo& symbol) {
  return !symbol.frames.empty() && !symbol.frames.back().function.empty() &&
         !symbol.frames.back().function.starts_with(events::kLocalFunction);
}

std::optional<uint64_t> vaddr_of(const std::vector<events::CodeSegment>& code, uint64_t file_offset) {
  for (const events::CodeSegment& each : code)
    if (file_offset >= each.file_offset && file_offset - each.file_offset < each.bytes)
      return each.vaddr + (file_offset - each.file_offset);
  return std::nullopt;
}

}  // namespace

Status check_debug_directories(std::vector<std::string>& directories) {
  for (std::string& each : directories) {
    std::error_code problem;
    if (!std::filesystem::is_directory(each, problem))
      return Error(ErrorCode::kUsage, "--debug-dir " + each + " is not a directory");
    each = std::filesystem::absolute(each, problem).lexically_normal().string();
    while (each.size() > 1 && each.ends_with('/')) each.pop_back();
  }
  return {};
}

void add_debug_directories(CLI::App& command, std::vector<std::string>& directories) {
  command
      .add_option("--debug-dir", directories,
                  "a directory with debug files, as /usr/lib/debug; may be given more than once")
      ->allow_extra_args(false)
      ->type_name("DIR");
}

Result<std::unique_ptr<DebugNames>> DebugNames::if_asked(std::vector<std::string> directories) {
  std::unique_ptr<Debuginfod> debuginfod = Debuginfod::if_asked();
  if (directories.empty() && !debuginfod) return std::unique_ptr<DebugNames>();
  Result<std::unique_ptr<files::Children>> files = files::Children::start();
  if (!files) return std::move(files).error();
  return std::unique_ptr<DebugNames>(
      new DebugNames(*std::move(files), std::move(directories), std::move(debuginfod)));
}

void DebugNames::on_event(const events::Event& event) {
  if (const auto* binary = std::get_if<events::BinaryInfo>(&event.payload))
    binaries_[binary->id] = {binary->build_id, binary->code};
  if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload)) {
    if (auto frames = better(*symbol)) {
      events::Event named = event;
      std::get<events::SymbolInfo>(named.payload).frames = *std::move(frames);
      return next_->on_event(named);
    }
  }
  next_->on_event(event);
}

// The function itself keeps the name that the recording has.
std::optional<std::vector<events::SourceFrame>> DebugNames::better(const events::SymbolInfo& symbol) {
  const auto known = binaries_.find(symbol.binary);
  if (!lacks_something(symbol) || known == binaries_.end() || known->second.build_id.empty())
    return std::nullopt;
  const uint64_t offset = symbol.file_offset - (symbol.is_return && symbol.file_offset != 0 ? 1 : 0);
  const std::optional<uint64_t> vaddr = vaddr_of(known->second.code, offset);
  if (!vaddr) return std::nullopt;
  std::vector<events::SourceFrame> found = frames_at(known->second.build_id, *vaddr);
  if (found.empty() || (!is_named(symbol) && found.back().function.empty())) return std::nullopt;
  if (is_named(symbol)) found.back().function = symbol.frames.back().function;
  return found;
}

std::vector<events::SourceFrame> DebugNames::frames_at(const std::string& build_id, uint64_t vaddr) {
  DebugFile& file = file_of(build_id);
  if (file.handle == symbols::BinaryHandle::kNone) return {};
  auto found = files_->look_up_addresses(file.handle, std::span(&vaddr, 1));
  if (!found && found.error().code() == ErrorCode::kAbsent && open(file, file.path, build_id))
    found = files_->look_up_addresses(file.handle, std::span(&vaddr, 1));  // it was closed in between
  if (!found) file.handle = {};
  return found ? std::move(found->front()) : std::vector<events::SourceFrame>();
}

DebugNames::DebugFile& DebugNames::file_of(const std::string& build_id) {
  const auto [at, added] = debug_files_.try_emplace(build_id);
  DebugFile& file = at->second;
  if (!added || !symbols::is_build_id(build_id)) return file;
  for (const std::string& directory : directories_) {
    const std::string path = symbols::build_id_path(directory, build_id);
    if (!path.empty() && open(file, path, build_id)) return file;
  }
  if (!debuginfod_) return file;
  if (const std::optional<std::string> path = debuginfod_->fetch(build_id)) open(file, *path, build_id);
  return file;
}

bool DebugNames::open(DebugFile& file, const std::string& path, const std::string& build_id) {
  const Result<symbols::OpenedBinary> opened = files_->open_debug_file(path);
  if (!opened || opened->handle == symbols::BinaryHandle::kNone || opened->facts.build_id != build_id)
    return false;
  file = {path, opened->handle};
  return true;
}

std::vector<std::string> DebugNames::take_notices() {
  std::vector<std::string> all = files_->take_notices();
  if (debuginfod_) std::ranges::move(debuginfod_->take_notices(), std::back_inserter(all));
  return all;
}

}  // namespace memwhy::app
