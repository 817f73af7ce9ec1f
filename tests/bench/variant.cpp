// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "probe/kernel_probe.h"

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

// memwhy's own probe library, all of its hooks. The hooks are attached while a space is traced, and only
// then.
class Memwhy : public Variant {
 public:
  Memwhy(std::string name, std::shared_ptr<probe::Port> probe, pid_t instead)
      : name_(std::move(name)), probe_(std::move(probe)), instead_(instead) {}
  const std::string& name() const override { return name_; }
  Status on(pid_t target) override {
    Result<SpaceId> space = probe_->trace(instead_ != 0 ? instead_ : target, /*follow=*/false);
    if (!space) return std::move(space).error();
    space_ = *space;
    return {};
  }
  Status off() override {
    probe_->drain([](events::Event) {});
    return probe_->untrace(space_);
  }

 private:
  std::string name_;
  std::shared_ptr<probe::Port> probe_;
  pid_t instead_;
  SpaceId space_{};
};

// "page_fault_user by tp_btf, stacks read directly"
std::string how_attached(const std::string& name, const events::HookReport& report) {
  std::string hooks;
  for (const events::Hook& hook : report.hooks) {
    hooks += fmt::format("{}{} by {}", hooks.empty() ? "" : ", ", hook.name, hook.attach);
  }
  return fmt::format("{}: stacks read by {}; {}", name, report.stack_read, hooks);
}

}  // namespace

Result<std::vector<std::unique_ptr<Variant>>> make_variants(const std::string& empty_object, pid_t bystander,
                                                            std::vector<std::string>& notes) {
  std::vector<std::unique_ptr<Variant>> variants;
  variants.push_back(std::make_unique<None>());
  auto empty = Empty::load(empty_object);
  if (!empty) return std::move(empty).error();
  variants.push_back(std::move(*empty));
  for (const bool bulk : {false, true}) {
    probe::Options options;
    if (bulk) options.read_how = MW_READ_BULK;
    auto opened = probe::open_port(options);
    if (!opened) return std::move(opened).error();
    const std::shared_ptr<probe::Port> probe = std::move(*opened);
    const std::string name = bulk ? "memwhy_bulk" : "memwhy";
    notes.push_back(how_attached(name, probe->hooks()));
    variants.push_back(std::make_unique<Memwhy>(name, probe, 0));
    if (!bulk) variants.push_back(std::make_unique<Memwhy>("memwhy_untraced", probe, bystander));
  }
  return variants;
}

}  // namespace memwhy::bench
