// SPDX-License-Identifier: Apache-2.0
#include "anonymize/anonymizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

#include "explain/container.h"
#include "explain/explainer.h"
#include "support/event_script.h"

namespace memwhy::anonymize {
namespace {

class Keep : public events::EventSink {
 public:
  void on_event(const events::Event& event) override { all.push_back(event); }
  std::vector<events::Event> all;
};

std::string read_events(const std::string& name) {
  std::ifstream file(std::filesystem::path(MEMWHY_TEST_DATA) / "golden" / (name + ".events"));
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string anonymized(const std::string& script, std::string_view key = "a key of a test") {
  Keep kept;
  Anonymizer anonymizer(kept, key);
  memwhy::testing::play(script, anonymizer);
  return memwhy::testing::format_script(kept.all);
}

explain::Explanation explanation_of(const std::string& script) {
  explain::Explainer explainer;
  memwhy::testing::play(script, explainer);
  return explainer.finish();
}

TEST(Anonymizer, TheContainerAProcessIsInAndTheOneWhoseMemoryWasReadKeepOnePath) {
  Keep kept;
  Anonymizer anonymizer(kept, "a key of a test");
  events::SpaceStart start;
  start.cgroup = "/docker/billing";
  events::CgroupMemory memory;
  memory.path = "/docker/billing";
  memory.usage_bytes = 4711;
  anonymizer.on_event({1, start});
  anonymizer.on_event({2, memory});
  const auto& told = std::get<events::CgroupMemory>(kept.all.at(1).payload);
  EXPECT_EQ(told.path, std::get<events::SpaceStart>(kept.all.at(0).payload).cgroup);
  EXPECT_EQ(told.path.find("billing"), std::string::npos) << told.path;
  EXPECT_EQ(told.usage_bytes, 4711u);
}

class Recordings : public ::testing::TestWithParam<std::string> {};

// The same ids, bytes, shares and figures: of the ledger, of the findings, of each cell.
TEST_P(Recordings, AreExplainedTheSame) {
  const std::string script = read_events(GetParam());
  const explain::Explanation a = explanation_of(script), b = explanation_of(anonymized(script));
  ASSERT_EQ(a.processes.size(), b.processes.size());
  for (size_t i = 0; i < a.processes.size(); ++i) {
    const auto digest = [](const explain::ProcessExplanation& process) {
      std::vector<std::tuple<std::string, uint64_t, double>> out;
      for (const explain::LedgerLine& line : process.ledger)
        out.emplace_back(line.id(), line.bytes, line.growth_bytes_per_s.value_or(-1));
      for (const explain::Finding& finding : process.findings) {
        out.emplace_back(finding.id, finding.bytes, finding.share + static_cast<double>(finding.kind));
        for (const explain::Figure& figure : finding.figures) out.emplace_back(figure.id, 0, figure.value);
      }
      for (const explain::Cell& cell : process.attribution.cells)
        out.emplace_back(process.attribution.cell_id(cell.owner), cell.bytes(),
                         static_cast<double>(cell.how));
      for (const explain::Frame& frame : process.attribution.frames)
        out.emplace_back("frame", frame.address, static_cast<double>(frame.kind));
      std::sort(out.begin(), out.end());
      return out;
    };
    EXPECT_EQ(digest(a.processes[i]), digest(b.processes[i]));
    EXPECT_EQ(a.processes[i].verdict.kind, b.processes[i].verdict.kind);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Recordings,
                         ::testing::Values("c_heap", "healthy_c", "hourly_job", "race_service"),
                         [](const ::testing::TestParamInfo<std::string>& test) { return test.param; });

TEST(Anonymizer, NoNameOfTheProgramIsLeft) {
  const std::string text = anonymized(read_events("hourly_job"));
  for (const char* name : {"export", "/srv/export", "node-7", "load", "runJob", "pool.go", "worker"})
    EXPECT_EQ(text.find(name), std::string::npos) << name << "\n" << text.substr(text.find(name), 200);
  for (const char* name : {"runtime.mallocgc", "runtime.chansend1", "main.main", "go1.26.8", "chan send"})
    EXPECT_NE(text.find(name), std::string::npos) << name;
}

TEST(Anonymizer, WordsAreTheSameForTheSameKeyAndOtherwiseNot) {
  const std::string script = read_events("hourly_job");
  EXPECT_EQ(anonymized(script), anonymized(script));
  EXPECT_NE(anonymized(script), anonymized(script, "another key of a test"));
  EXPECT_NE(anonymized(script, ""), anonymized(script, ""));
}

TEST(Names, FunctionsKeepTheirShape) {
  Names names("key");
  const std::string job = names.function("main.(*job).load.func1", "/srv/job.go", "web", true);
  EXPECT_TRUE(job.starts_with("main.(*")) << job;
  EXPECT_TRUE(job.ends_with(".func1")) << job;
  EXPECT_EQ(job.find("load"), std::string::npos);
  for (const char* name : {"runtime.gopark", "encoding/json.Unmarshal",
                           "golang.org/x/net/http2.(*Framer).ReadFrame", "main.main"})
    EXPECT_EQ(names.function(name, "/x/y.go", "web", true), name);
  EXPECT_EQ(names.function("malloc", "", "libc.so.6", false), "malloc");
  EXPECT_EQ(names.function("je_malloc", "", "acme-server", false), "je_malloc");
  EXPECT_EQ(names.function("PyObject_Malloc", "", "libpython3.11.so.1.0", false), "PyObject_Malloc");
  const std::string own = names.word("acme") + "::" + names.word("Thing");
  EXPECT_EQ(
      names.function("std::vector<acme::Thing, std::allocator<acme::Thing> >::push_back(acme::Thing const&)",
                     "", "acme", false),
      "std::vector<" + own + ", std::allocator<" + own + "> >::push_back(" + own + " const&)");
  EXPECT_EQ(names.function("slices.Sort[go.acme.com/ledger.Thing]", "", "web", true).find("acme"),
            std::string::npos);
  EXPECT_EQ(names.function("operator new(unsigned long)", "", "acme", false), "operator new(unsigned long)");
  const std::string unicode = names.function("main.größe", "/srv/x.go", "web", true);
  EXPECT_EQ(unicode.find("öße"), std::string::npos) << unicode;
  EXPECT_EQ(unicode, "main." + names.word("größe"));
}

TEST(Names, FilesKeepWhatKindTheyAre) {
  Names names("key");
  EXPECT_EQ(names.path("/usr/lib/x86_64-linux-gnu/libc.so.6"), "/usr/lib/x86_64-linux-gnu/libc.so.6");
  const std::string own = names.path("/opt/acme/libacme.so.3.1 (deleted)");
  EXPECT_TRUE(own.starts_with("/opt/") && own.ends_with(".so.3.1 (deleted)")) << own;
  EXPECT_EQ(own.find("acme"), std::string::npos);
  EXPECT_EQ(names.path("/memfd:secret (deleted)"), "/memfd:" + names.word("secret") + " (deleted)");
  EXPECT_EQ(names.path("/opt/acme/jdk/lib/server/libjvm.so").substr(0, 5), "/opt/");
  EXPECT_TRUE(names.path("/opt/acme/jdk/lib/server/libjvm.so").ends_with("/lib/server/libjvm.so"));
  EXPECT_EQ(names.mapping("[anon: Go: heap]"), "[anon: Go: heap]");
  EXPECT_EQ(names.mapping("[heap]"), "[heap]");
  EXPECT_EQ(names.mapping("[anon:ledger]"), "[anon:" + names.word("ledger") + "]");
  EXPECT_EQ(names.source("/home/joe/sdk/go/src/runtime/malloc.go", true).find("joe"), std::string::npos);
  EXPECT_TRUE(names.source("/home/joe/sdk/go/src/runtime/malloc.go", true).ends_with("/malloc.go"));
}

TEST(Names, WhatOnlyBeginsLikeAPublicOneIsPrivate) {
  Names names("key");
  EXPECT_EQ(names.comm("javacme-pay").find("acme"), std::string::npos);
  EXPECT_EQ(names.comm("java-acme").find("acme"), std::string::npos);
  EXPECT_EQ(names.path("/srv/libcapitalone_ledger.so").find("capitalone"), std::string::npos);
  EXPECT_FALSE(Names::is_public_file("/srv/libcapitalone_ledger.so"));  // its build id goes too
  EXPECT_NE(names.function("SecretCFunction", "", "libcapitalone_ledger.so", false), "SecretCFunction");
  const std::string post =
      names.function("go.acmebank.com/ledger.(*SecretDeal).Post", "/x/deal.go", "web", true);
  EXPECT_EQ(post.find("acmebank"), std::string::npos) << post;
  EXPECT_EQ(post.find("Secret"), std::string::npos) << post;
  EXPECT_FALSE(
      Names::is_public_function("go.acmebank.com/ledger.(*SecretDeal).Post", "/x/deal.go", "web", true));
  EXPECT_EQ(names.go_module("go.acmebank.com").find("acmebank"), std::string::npos);
  for (const char* name : {"java",
                           "php-fpm8.2",
                           "python3.11",
                           "node",
                           "libcap.so.2",
                           "libcap-ng.so.0",
                           "libc.so.6",
                           "libc-2.31.so",
                           "libc.musl-x86_64.so.1",
                           "ld-linux-x86-64.so.2",
                           "ld-musl-aarch64.so.1",
                           "libnss_files.so.2",
                           "libstdc++.so.6.0.30",
                           "libpython3.11.so.1.0",
                           "libtcmalloc_minimal.so.4",
                           "libjemalloc.so.2",
                           "libmimalloc-secure.so.2.0",
                           "libglib-2.0.so.0",
                           "libcurl-gnutls.so.4",
                           "locale-archive"})
    EXPECT_TRUE(Names::is_public_file(name)) << name;
}

TEST(Names, ContainersStayContainers) {
  Names names("key");
  const std::string id(64, '4'), pod = "3f2a1b2c-0000-1111-2222-333344445555";
  const std::string cgroup = names.cgroup("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" +
                                          pod + "/cri-containerd-" + id + ".scope/billing");
  EXPECT_TRUE(cgroup.starts_with("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"))
      << cgroup;
  ASSERT_TRUE(explain::container_of(cgroup)) << cgroup;
  EXPECT_NE(*explain::container_of(cgroup), id);
  ASSERT_TRUE(explain::pod_of(cgroup)) << cgroup;
  EXPECT_NE(*explain::pod_of(cgroup), pod);
  EXPECT_EQ(cgroup.find("billing"), std::string::npos);
}

TEST(Names, SentencesOfOursLoseTheNames) {
  Names names("key");
  const std::string text =
      names.sentence("not recorded: pid 7 (bill er): /srv/acme/x is not readable; tried again");
  EXPECT_EQ(text.find("bill"), std::string::npos) << text;
  EXPECT_EQ(text.find("acme"), std::string::npos) << text;
  EXPECT_TRUE(text.starts_with("not recorded: pid 7 (") && text.ends_with("is not readable; tried again"))
      << text;
}

TEST(Words, DifferForDifferentNames) {
  Words words("key");
  std::set<std::string> seen;
  for (int i = 0; i < 20'000; ++i) seen.insert(words.word("name" + std::to_string(i)));
  EXPECT_EQ(seen.size(), 20'000U);
  EXPECT_EQ(words.digits("deadbeef").size(), 8U);
}

}  // namespace
}  // namespace memwhy::anonymize
