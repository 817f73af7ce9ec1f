// SPDX-License-Identifier: Apache-2.0
// record_script: an event script (tests/support/event_script.h) as a recording. usage: record_script SCRIPT OUT.memwhy
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "support/event_script.h"
#include "trace/output.h"
#include "trace/writer.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream script(argv[1]);
  const std::string text((std::istreambuf_iterator<char>(script)), std::istreambuf_iterator<char>());
  auto file = memwhy::trace::create_output(argv[2]);
  auto writer = file ? memwhy::trace::Writer::create(std::move(*file), {}) : std::move(file).error();
  if (!writer) {
    std::fprintf(stderr, "record_script: %s\n", writer.error().message().c_str());
    return 1;
  }
  memwhy::testing::play(text, **writer);
  return (*writer)->finish("stopped") ? 0 : 1;
}
