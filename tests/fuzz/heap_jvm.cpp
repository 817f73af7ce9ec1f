// SPDX-License-Identifier: Apache-2.0
// JVMs that are made up: their heap, their classes, and the frames of their code.
#include "heap_shapes.h"
#include "unit/allocators/made_jvm.h"

namespace memwhy::fuzz {
namespace {

using namespace allocators;
using namespace allocators::test::jvm;

HeapShape shape_of(const char* name, const MadeJvm& made) {
  HeapShape out = block_shape(name, made);
  constexpr size_t kPiece = kPageBytes;
  for (size_t at = 0; at < made.file.size(); at += kPiece) {
    std::string page = made.file.substr(at, kPiece);
    page.resize(kPiece);
    out.file[(kText + at) / kPageBytes] = page;
  }
  out.reader = [](const FileBytes& file) { return std::make_unique<Hotspot>(file); };
  return out;
}

HeapShape g1() {
  MadeG1 made;
  make_classes_known(made);
  for (const uint64_t klass : {kClasses, kOther}) {
    made.map({klass, klass + kPageBytes}, "");
    made.memory.put_words(klass, {0, 0, 0, kObjects + 0x30000});
  }
  made.memory.put_word(kClasses + 8, kOther);
  made.memory.put_words(kObjects + 0x30000, {0, 0, kClasses});
  return shape_of("hotspot_g1", made);
}

HeapShape frames(const char* name, bool new_release) {
  MadeCodeCache made(new_release);
  made.map({kCode, kCode + 0x10000}, "");
  made.map({kSegments, kSegments + 0x1000}, "");
  made.map({kInterpreter, kInterpreter + 0x2000}, "");
  made.blob(2, 40, 6, 0x20);
  made.blob(42, 8, 3, -1);
  made.blob(60, 10, 4, 0x20);
  HeapShape out = shape_of(name, made);
  out.kind = HeapKind::kJvmFrames;
  for (const uint64_t segment : {2, 20, 41, 42, 49, 60, 69, 100})
    out.code.push_back(made.code(segment) + 0x30);
  out.code.push_back(kInterpreter + 0x10);
  return out;
}

}  // namespace

void add_jvm_shapes(std::vector<HeapShape>& out) {
  out.push_back(g1());
  out.push_back(shape_of("hotspot_serial", MadeSpaces(MadeSpaces::kSerial)));
  out.push_back(frames("hotspot_frames_17", false));
  out.push_back(frames("hotspot_frames_25", true));
}

}  // namespace memwhy::fuzz
