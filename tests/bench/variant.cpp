// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "app/teaching.h"
#include "base/time.h"
#include "files/children.h"
#include "probe/kernel_probe.h"
#include "procfs/process.h"
#include "unwind/teacher.h"

namespace memwhy::bench {

namespace {

class None : public Variant {
 public:
  const std::string& name() const override { return name_; }
  Status on(pid_t) override { return {}; }
  Status off() override { return {}; }

 private:
  std::string name_ = "none";
};

class Empty : public Variant {
 public:
  static Result<std::unique_ptr<Variant>> load(const std::string& path) {
    auto empty = std::make_unique<Empty>();
    empty->object_ = bpf_object__open_file(path.c_str(), nullptr);
    if (empty->object_ == nullptr || bpf_object__load(empty->object_) != 0) {
      return errno_error(ErrorCode::kEnvironment, "loading the empty program", errno);
    }
    return std::unique_ptr<Variant>(std::move(empty));
  }
  Empty() = default;
  Empty(const Empty&) = delete;
  Empty& operator=(const Empty&) = delete;
  ~Empty() override {
    bpf_link__destroy(link_);
    bpf_object__close(object_);
  }
  const std::string& name() const override { return name_; }
  Status on(pid_t) override {
    link_ = bpf_program__attach(bpf_object__find_program_by_name(object_, "empty"));
    return link_ != nullptr ? Status{} : Status(errno_error(ErrorCode::kEnvironment, "attaching", errno));
  }
  Status off() override {
    bpf_link__destroy(std::exchange(link_, nullptr));
    return {};
  }

 private:
  std::string name_ = "empty";
  bpf_object* object_ = nullptr;
  bpf_link* link_ = nullptr;
};

constexpr int kPassesToFree = 4;  // over its stacks, so that the next slot meets a table with room

// A recording: a port, and what it traces; 0: the target.
struct Recorded {
  std::shared_ptr<probe::Port> port;
  pid_t pid = 0;
};

// memwhy's own probe library, all of its hooks. The hooks are attached while a space is traced, and only
// then.
class Memwhy : public Variant {
 public:
  Memwhy(std::string name, std::vector<Recorded> recordings)
      : name_(std::move(name)), recordings_(std::move(recordings)) {}
  const std::string& name() const override { return name_; }
  Status on(pid_t target) override {
    spaces_.clear();
    for (const Recorded& recorded : recordings_) {
      Result<SpaceId> space =
          recorded.port->trace(recorded.pid != 0 ? recorded.pid : target, /*follow=*/false);
      if (!space) return std::move(space).error();
      spaces_.push_back(*space);
    }
    return {};
  }
  Status off() override {
    Status all;
    for (size_t i = 0; i < spaces_.size(); ++i) {
      recordings_[i].port->drain([](events::Event) {});
      if (Status done = recordings_[i].port->untrace(spaces_[i]); !done) all = std::move(done);
      for (int pass = 0; pass < kPassesToFree; ++pass) {
        for (int twice = 0; twice < 2; ++twice) recordings_[i].port->drain([](events::Event) {});
        recordings_[i].port->settle();
      }
    }
    return all;
  }

 private:
  std::string name_;
  std::vector<Recorded> recordings_;
  std::vector<SpaceId> spaces_;
};

// The same with rules, learned when it is told to and not by a thread of its own.
class Learned : public Memwhy {
 public:
  Learned(std::string name, probe::KernelProbe& probe, std::unique_ptr<files::Children> files,
          procfs::Root proc)
      : Memwhy(std::move(name), {{std::shared_ptr<probe::Port>(probe.port()), 0}}),
        unwinding_(probe.unwinding()),
        files_(std::move(files)),
        proc_(std::move(proc)),
        port_(*unwinding_),
        teacher_(
            port_, *files_,
            [this](Pid pid) -> Result<std::vector<events::Vma>> {
              Result<procfs::Process> process = procfs::Process::open(proc_, pid);
              if (!process) return std::move(process).error();
              return process->vmas();
            },
            [] { return clock_ns(CLOCK_MONOTONIC); }) {}
  Status on(pid_t target) override {
    begins_ = true;
    return Memwhy::on(target);
  }
  bool learn() override {
    bool more = std::exchange(begins_, false);
    // also what was sent by spaces that are gone; and until it has rested, or the next pass could send nothing
    for (bool tired = true; tired;) {
      const uint64_t starved = teacher_.totals().starved;
      while (teacher_.look() != 0) more = true;
      tired = teacher_.totals().starved != starved;
      more = more || tired;
    }
    return more;
  }

 private:
  std::unique_ptr<probe::Unwinding> unwinding_;
  std::unique_ptr<files::Children> files_;
  procfs::Root proc_;
  app::RuleTables port_;
  unwind::Teacher teacher_;
  bool begins_ = false;
};

// "page_fault_user by tp_btf, stacks read directly"
std::string how_attached(const std::string& name, const events::HookReport& report) {
  std::string hooks;
  for (const events::Hook& hook : report.hooks) {
    hooks += fmt::format("{}{} by {}", hooks.empty() ? "" : ", ", hook.name, hook.attach);
  }
  return fmt::format("{}: stacks read by {}; {}", name, report.stack_read, hooks);
}

// Learned keeps a reference.
const Result<std::unique_ptr<probe::KernelProbe>>& own_probe() {
  static const auto kernel = probe::KernelProbe::open();
  return kernel;
}

}  // namespace

Result<std::unique_ptr<Variant>> make_memwhy(std::vector<std::string>& notes) {
  auto files = files::Children::start({.program = MEMWHY_PROGRAM});
  if (!files) return std::move(files).error();
  auto proc = procfs::Root::open("/proc");
  if (!proc) return std::move(proc).error();
  const auto& kernel = own_probe();
  if (!kernel) return kernel.error();
  if ((*kernel)->unwinding() == nullptr)
    return Error(ErrorCode::kEnvironment, "no unwind rules on this kernel: memwhy doctor says why");
  notes.push_back(how_attached("memwhy", (*kernel)->port()->hooks()));
  return std::unique_ptr<Variant>(
      std::make_unique<Learned>("memwhy", **kernel, std::move(*files), std::move(*proc)));
}

Result<std::vector<std::unique_ptr<Variant>>> make_variants(const std::string& empty_object,
                                                            const std::array<pid_t, 2>& bystanders,
                                                            std::vector<std::string>& notes) {
  std::vector<std::unique_ptr<Variant>> variants;
  variants.push_back(std::make_unique<None>());
  auto empty = Empty::load(empty_object);
  if (!empty) return std::move(empty).error();
  variants.push_back(std::move(*empty));
  const auto add = [&variants](const char* name, std::vector<Recorded> recordings) {
    variants.push_back(std::make_unique<Memwhy>(name, std::move(recordings)));
  };
  probe::Options bulk_only;
  bulk_only.read_how = MW_READ_BULK;
  bulk_only.rules = false;
  probe::Options pointers_only;
  pointers_only.rules = false;
  auto learned = make_memwhy(notes);
  if (!learned) return std::move(learned).error();
  const auto& kernel = own_probe();
  auto pointers = probe::KernelProbe::open(pointers_only);
  auto second = probe::KernelProbe::open();
  auto bulk = probe::KernelProbe::open(bulk_only);
  for (const auto* opened : {&second, &bulk, &pointers})
    if (!*opened) return opened->error();
  const auto port = [](const auto& opened) { return std::shared_ptr<probe::Port>((*opened)->port()); };
  const std::shared_ptr<probe::Port> first = port(kernel), slow = port(bulk);
  notes.push_back(how_attached("memwhy_bulk", slow->hooks()));
  variants.push_back(std::move(*learned));
  add("memwhy_pointers", {{port(pointers), 0}});
  add("memwhy_untraced", {{first, bystanders[0]}});
  add("memwhy_untraced_ports", {{first, bystanders[0]}, {port(kernel), bystanders[1]}});
  add("memwhy_untraced_objects", {{first, bystanders[0]}, {port(second), bystanders[1]}});
  add("memwhy_bulk", {{slow, 0}});
  return variants;
}

}  // namespace memwhy::bench
