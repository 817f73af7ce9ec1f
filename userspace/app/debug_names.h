// SPDX-License-Identifier: Apache-2.0
// DebugNames: names that a recording lacks, found in debug files of the same builds while the recording is read: functions that
// no symbol named, functions that were inlined, lines.
//
// What it is: a sink in front of the explainer's. Files are opened and parsed by the children (files/), from the directories
// that the user gave, else by debuginfod if the environment names a server (debuginfod.h). What it is not: required; without
// it a recording has the names that it came with.
//
//   SymbolInfo libc.so.6+0x99e12 "local function after qsort_r+0x1c30", no file
//     -> build id a1b2…, code at 0x28000 is 0x28000  -> /srv/debug/.build-id/a1/b2….debug  -> { _int_malloc malloc.c:4091 }
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/debuginfod.h"
#include "events/event.h"
#include "files/children.h"

namespace memwhy::app {

// --debug-dir of a command.
void add_debug_directories(CLI::App& command, std::vector<std::string>& directories);
// Makes the directories absolute. kUsage: one is none.
Status check_debug_directories(std::vector<std::string>& directories);

class DebugNames final : public events::EventSink {
 public:
  // Null: there is no directory, and the environment names no server.
  static Result<std::unique_ptr<DebugNames>> if_asked(std::vector<std::string> directories);

  // Before the first event. `next` must outlive the last.
  void go_before(events::EventSink& next) { next_ = &next; }
  void on_event(const events::Event& event) override;
  std::vector<std::string> take_notices();

 private:
  struct Known {
    std::string build_id;
    std::vector<events::CodeSegment> code;
  };
  struct DebugFile {
    std::string path;                // "": there is none
    symbols::BinaryHandle handle{};  // of the children that have it open now
  };

  DebugNames(std::unique_ptr<files::Children> files, std::vector<std::string> directories,
             std::unique_ptr<Debuginfod> debuginfod)
      : files_(std::move(files)), directories_(std::move(directories)), debuginfod_(std::move(debuginfod)) {}
  std::optional<std::vector<events::SourceFrame>> better(const events::SymbolInfo& symbol);
  std::vector<events::SourceFrame> frames_at(const std::string& build_id, uint64_t vaddr);
  DebugFile& file_of(const std::string& build_id);
  bool open(DebugFile& file, const std::string& path, const std::string& build_id);

  std::unique_ptr<files::Children> files_;
  std::vector<std::string> directories_;
  std::unique_ptr<Debuginfod> debuginfod_;
  events::EventSink* next_ = nullptr;
  std::map<BinaryId, Known> binaries_;
  std::map<std::string, DebugFile> debug_files_;  // by build id
};

}  // namespace memwhy::app
