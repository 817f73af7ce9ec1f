// SPDX-License-Identifier: Apache-2.0
#include "probe/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string_view>

#include "memwhy.skel.h"
#include "probe/privilege.h"

namespace memwhy::probe {
namespace {

constexpr uint64_t kMaxMemoryGib =
    64 << 10;  // how far below its own page table the direct map's start is searched for

// What libbpf prints while it works for this thread; shown only when it fails. libbpf has one printer for the
// process.
class LibbpfLog {
 public:
  LibbpfLog() {
    current_ = this;
    libbpf_set_print([](libbpf_print_level, const char* format, va_list arguments) {
      if (!current_) return 0;
      char line[1024];
      const int n = std::vsnprintf(line, sizeof line, format, arguments);
      if (n > 0) current_->text_.append(line, std::min<size_t>(static_cast<size_t>(n), sizeof line - 1));
      if (current_->text_.size() > kMax) current_->text_.erase(0, current_->text_.size() - kMax);
      return n;
    });
  }
  ~LibbpfLog() { current_ = nullptr; }
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // The program that the kernel or libbpf refused: "prog 'NAME': …failed…"; "" when it was none.
  std::string refused_program() const {
    for (size_t at = text_.find("prog '"); at != std::string::npos; at = text_.find("prog '", at + 1)) {
      const size_t name = at + 6, end = text_.find('\'', name), line = text_.find('\n', name);
      if (end != std::string::npos &&
          std::string_view(text_).substr(end, line - end).find("failed") != std::string::npos)
        return text_.substr(name, end - name);
    }
    return {};
  }
  // The verifier's last word on it.
  std::string last_line() const {
    const size_t end = text_.find("\nprocessed ");
    const size_t stop = end == std::string::npos ? text_.find_last_not_of('\n') + 1 : end;
    const size_t start = stop == 0 ? 0 : text_.rfind('\n', stop - 1) + 1;
    return text_.substr(start, stop - start);
  }

 private:
  static constexpr size_t kMax = 1 << 16;
  static thread_local LibbpfLog* current_;
  std::string text_;
};
thread_local LibbpfLog* LibbpfLog::current_ = nullptr;

// A tracepoint that exists, and whose program was loaded, can be attached; attaching all takes half a second.
bool may_fail_to_attach(const Way& way) {
  const std::string_view how = way.attach;
  return how == "fentry" || how == "kprobe" || how == "perf_event";
}

uint32_t size_or(uint32_t asked, uint32_t standard) { return asked == 0 ? standard : asked; }

}  // namespace

void Object::SkeletonCloser::operator()(memwhy_bpf* skeleton) const { memwhy_bpf__destroy(skeleton); }

Object::Object(KernelOffer kernel, const Options& options)
    : kernel_(std::move(kernel)),
      options_(options),
      cpus_(static_cast<uint32_t>(std::max(1, libbpf_num_possible_cpus()))),
      spaces_in_use_(size_or(options.spaces, MW_SPACES)),
      stacks_in_use_(size_or(options.stacks, MW_STACKS)),
      chunks_in_use_(size_or(options.chunks, MW_CHUNKS)),
      ring_bytes_(size_or(options.ring_bytes, MW_RING_BYTES)),
      rules_(options.rules) {
  if (!rules_) why_no_rules_ = "it was asked for";
}

Object::~Object() = default;

Result<std::unique_ptr<Object>> Object::load(const Options& options) {
  const LibbpfLog quiet;
  Result<KernelOffer> kernel = KernelOffer::ask();
  if (!kernel) return std::move(kernel).error();
  std::unique_ptr<Object> object(new Object(std::move(kernel).value(), options));
  for (const uint32_t size :
       {object->spaces_in_use_, object->stacks_in_use_, object->chunks_in_use_, object->ring_bytes_})
    if (!std::has_single_bit(size))
      return Error(ErrorCode::kUsage, "sizes of the kernel side must be powers of two");
  if (object->spaces_in_use_ > MW_SPACES || object->stacks_in_use_ > MW_STACKS ||
      object->chunks_in_use_ > MW_CHUNKS)
    return Error(ErrorCode::kUsage, "sizes of the kernel side must be at most the defaults");
  if (Status done = object->draw_keys(); !done) return std::move(done).error();
  if (Status done = object->calibrate(); !done) return std::move(done).error();
  if (Status done = object->choose(options); !done) return std::move(done).error();
  if (Status done = object->choose_go(); !done) return std::move(done).error();
  object->choose_allocations();
  if (Status done = object->load_chosen(); !done) return std::move(done).error();
  return object;
}

// What a target must not know, or it could choose stacks and addresses that collide.
Status Object::draw_keys() {
  const auto draw = [](void* to, size_t bytes) {
    return ::getrandom(to, bytes, 0) ==
           static_cast<ssize_t>(bytes);  // up to 256 bytes are always given whole
  };
  bool all = draw(&chunk_factor_, sizeof chunk_factor_);
  chunk_factor_ |= 1;
  for (uint64_t& key : stack_keys_) all = all && draw(&key, sizeof key);
  if (!all) return errno_error(ErrorCode::kEnvironment, "drawing random keys", errno);
  return {};
}

// Opens the skeleton and fixes everything that must be known before load.
Status Object::open(bool queries_only) {
  skeleton_.reset(memwhy_bpf__open());
  if (!skeleton_) {
    const int why = errno;  // it is well-formed: only memory can be missing
    return errno_error(why == ENOMEM ? ErrorCode::kEnvironment : ErrorCode::kInternal,
                       "opening the BPF object", why);
  }
  const auto set = [](bpf_map* map, uint32_t entries) { bpf_map__set_max_entries(map, entries); };
  set(skeleton_->maps.table, queries_only ? 1 : chunks_in_use_);
  set(skeleton_->maps.stacks, queries_only ? 1 : stacks_in_use_);
  set(skeleton_->maps.nodes, queries_only ? 1 : MW_NODES);
  set(skeleton_->maps.snapshots, queries_only || !rules_ ? 1 : MW_SNAPSHOTS);
  set(skeleton_->maps.members, queries_only ? 1 : 2 * spaces_in_use_);
  set(skeleton_->maps.ring, queries_only ? static_cast<uint32_t>(::sysconf(_SC_PAGESIZE)) : ring_bytes_);
  set(skeleton_->maps.counters, cpus_);
  auto& facts = *skeleton_->rodata;
  facts.space_mask = spaces_in_use_ - 1;
  facts.stack_mask = stacks_in_use_ - 1;
  facts.chunk_mask = chunks_in_use_ - 1;
  facts.read_how = how_;
  facts.use_rules = rules_;
  facts.check_trails = options_.check_trails;
  facts.direct_map = direct_map_;
  facts.la57 = la57_;
  facts.chunk_factor = chunk_factor_;
  std::copy(stack_keys_.begin(), stack_keys_.end(), facts.stack_keys);
  facts.go_burst = 2 * options_.go_hits_per_s;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) bpf_program__set_autoload(program, false);
  return {};
}

// Finds the direct map, in an object of its own: what is found is a constant of the programs that are loaded
// then.
Status Object::calibrate() {
  if (!kernel_.has_function("bpf_rdonly_cast")) return {};
  const LibbpfLog quiet;
  uint32_t how = options_.read_how;
  for (;; --how) {
    if (how == MW_READ_BULK) return {};  // the full load reports the reason, if it cannot go on without
    if (Status opened = open(true); !opened) return opened;
    skeleton_->rodata->read_how = how;
    bpf_program__set_autoload(skeleton_->progs.calibrate, true);
    if (memwhy_bpf__load(skeleton_.get()) == 0) break;
  }
  uint64_t word = 0;
  if (::getrandom(&word, sizeof word, 0) != sizeof word) return {};
  mw_request& ask = request();
  ask.word_at = reinterpret_cast<uint64_t>(&word);
  ask.word = word;
  for (ask.skip_gib = 0; ask.skip_gib < kMaxMemoryGib && ask.direct_map == 0;
       ask.skip_gib += MW_CALIBRATE_STEP)
    if (!run("calibrate")) return {};
  direct_map_ = ask.direct_map;
  la57_ = ask.la57 != 0;
  if (direct_map_ != 0) how_ = how;
  return {};
}

// The first way of each hook that this kernel may offer, or the requested one.
Status Object::choose(const Options& options) {
  for (const HookSpec& hook : hook_catalogue()) {
    Choice choice{&hook, nullptr, false, {}};
    const auto forced = std::find_if(options.force_hook.begin(), options.force_hook.end(),
                                     [&](const auto& f) { return f.first == hook.name; });
    for (const Way& way : hook.ways) {
      if (forced != options.force_hook.end() ? forced->second != way.attach : !kernel_.offers(way)) continue;
      choice.way = &way;
      break;
    }
    if (forced != options.force_hook.end() && !choice.way && forced->second != "none")
      return Error(ErrorCode::kUsage, fmt::format("hook {} has no way {}", hook.name, forced->second));
    choices_.push_back(choice);
  }
  for (const auto& [name, way] : options.force_hook)
    if (std::none_of(choices_.begin(), choices_.end(),
                     [&, &n = name](const Choice& c) { return n == c.hook->name; }))
      return Error(ErrorCode::kUsage, fmt::format("no hook is called {}", name));
  return {};
}

// `program` could not be loaded or attached: its hook goes on to the next way. false: it belongs to no hook,
// or was forced.
bool Object::refuse(const std::string& program, const std::string& why) {
  for (Choice& choice : choices_) {
    if (!choice.way) continue;
    const bool has = std::any_of(choice.way->pieces.begin(), choice.way->pieces.end(),
                                 [&](const Piece& p) { return p.program == program; });
    if (!has) continue;
    for (const auto& [hook, way] : options_.force_hook)
      if (hook == choice.hook->name) return false;
    choice.why_not += fmt::format("{}{}: {}", choice.why_not.empty() ? "" : "; ", choice.way->attach, why);
    const Way* const end = choice.hook->ways.data() + choice.hook->ways.size();
    do {
      ++choice.way;
    } while (choice.way != end && !kernel_.offers(*choice.way));
    if (choice.way == end) choice.way = nullptr;
    return true;
  }
  return false;
}

// Loads and attaches for a moment; what the kernel refuses is replaced by the next way, and all is tried
// anew.
Status Object::load_chosen() {
  for (;;) {
    Result<bool> done = load_once();
    if (done && *done) done = attach_once();
    if (!done) return std::move(done).error();
    if (*done) return map_tables();
  }
}

// Of the chosen ways and of the queries.
void Object::select_programs() {
  const bool covered = std::any_of(choices_.begin(), choices_.end(),
                                   [](const Choice& c) { return c.way && c.way->covers_kernel_faults; });
  for (Choice& choice : choices_) {
    choice.covered = covered && std::string_view(choice.hook->name) == "page_fault_kernel";
    if (!choice.way || choice.covered) continue;
    for (const Piece& piece : choice.way->pieces)
      bpf_program__set_autoload(bpf_object__find_program_by_name(skeleton_->obj, piece.program), true);
  }
  for (bpf_program* program : {skeleton_->progs.clock, skeleton_->progs.maps_held, skeleton_->progs.claim,
                               skeleton_->progs.space_members, skeleton_->progs.space_threads})
    bpf_program__set_autoload(program, true);
  load_uprobes();
  skeleton_->rodata->end_at_exit = std::any_of(choices_.begin(), choices_.end(), [](const Choice& c) {
    return std::string_view(c.hook->name) == "exit_mmap" && !c.way;
  });
}

// false: the kernel refused something, which is done in another way the next time.
Result<bool> Object::load_once() {
  const LibbpfLog log;
  if (Status opened = open(false); !opened) return std::move(opened).error();
  select_programs();
  const int failed = memwhy_bpf__load(skeleton_.get());
  if (failed == 0) return true;
  if (failed == -EPERM || failed == -EACCES) {
    if (std::optional<Error> missing = missing_privilege()) return std::move(*missing);
  }
  const std::string program = log.refused_program();
  const std::string why = fmt::format("{} ({})", log.last_line(), std::generic_category().message(-failed));
  if (rules_) {  // the verifier of another kernel may see more in the walk by rules than it accepts
    rules_ = false;
    why_no_rules_ = why;
    return false;
  }
  if (!program.empty() && refuse(program, why)) return false;
  if ((program == "go_call" || program == "allocation_call") && options_.go_probes.empty()) {
    refuse_uprobes(program, why);
    return false;
  }
  return Error(ErrorCode::kEnvironment,
               program.empty() ? fmt::format("loading the BPF object: {}", why)
                               : fmt::format("the kernel refused BPF program {}: {}", program, why));
}

// false: as of load_once().
Result<bool> Object::attach_once() {
  for (const Choice& choice : choices_) {
    if (!choice.way || choice.covered || !may_fail_to_attach(*choice.way)) continue;
    Result<std::vector<Link>> links = attach(*choice.way, skeleton_->obj, kernel_);
    if (links) continue;
    const std::string why = links.error().message();
    if (!refuse(choice.way->pieces.front().program, why)) return std::move(links).error();
    return false;
  }
  return true;
}

Status Object::map_tables() {
  const auto map = [](const bpf_map* m, size_t bytes, Mapping& to) -> Status {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    Result<Mapping> mapping = Mapping::of_map(bpf_map__fd(m), (bytes + page - 1) / page * page);
    if (!mapping) return std::move(mapping).error();
    to = std::move(mapping).value();
    return {};
  };
  if (Status done = map(skeleton_->maps.table, chunks_in_use_ * sizeof(mw_chunk), table_); !done) return done;
  if (Status done = map(skeleton_->maps.stacks, stacks_in_use_ * sizeof(mw_stack), stacks_); !done)
    return done;
  if (Status done = map(skeleton_->maps.nodes, MW_NODES * sizeof(mw_node), nodes_); !done) return done;
  const size_t snapshot_bytes = (rules_ ? MW_SNAPSHOTS : 1) * sizeof(mw_snapshot);
  if (Status done = map(skeleton_->maps.snapshots, snapshot_bytes, snapshots_); !done) return done;
  return map(skeleton_->maps.counters, cpus_ * sizeof(mw_counters), counters_);
}

Result<std::vector<Link>> Object::attach_all() const {
  const LibbpfLog quiet;
  std::vector<Link> all;
  for (const Choice& choice : choices_) {
    if (!choice.way || choice.covered) continue;
    Result<std::vector<Link>> links = attach(*choice.way, skeleton_->obj, kernel_);
    if (!links) return std::move(links).error();
    std::move(links->begin(), links->end(), std::back_inserter(all));
  }
  return all;
}

Status Object::run(const char* program) const {
  const bpf_program* p = bpf_object__find_program_by_name(skeleton_->obj, program);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  const int failed = bpf_prog_test_run_opts(bpf_program__fd(p), &options);
  if (failed != 0) return errno_error(ErrorCode::kEnvironment, std::string("running ") + program, -failed);
  return {};
}

Result<std::string> Object::iterate(const char* program) const {
  const LibbpfLog quiet;
  const Link link(
      bpf_program__attach_iter(bpf_object__find_program_by_name(skeleton_->obj, program), nullptr));
  if (!link) return errno_error(ErrorCode::kEnvironment, std::string("iterator ") + program, errno);
  const Fd iterator(bpf_iter_create(bpf_link__fd(link.get())));
  if (!iterator) return errno_error(ErrorCode::kEnvironment, std::string("iterator ") + program, errno);
  std::string all;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(iterator.get(), buffer, sizeof buffer);
    if (n == 0) return all;
    if (n > 0) {
      all.append(buffer, static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      return errno_error(ErrorCode::kEnvironment, std::string("reading iterator ") + program, errno);
    }
  }
}

int Object::ring_fd() const { return bpf_map__fd(skeleton_->maps.ring); }
int Object::bell_fd() const { return bpf_map__fd(skeleton_->maps.bell); }
int Object::members_fd() const { return bpf_map__fd(skeleton_->maps.members); }

std::vector<std::pair<std::string, int>> Object::programs() const {
  std::vector<std::pair<std::string, int>> loaded;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    if (const int fd = bpf_program__fd(program); fd >= 0) loaded.emplace_back(bpf_program__name(program), fd);
  }
  return loaded;
}

mw_request& Object::request() const { return skeleton_->bss->request; }
mw_space* Object::spaces() const { return skeleton_->bss->spaces; }
Shares::Shared Object::shares() const {
  auto& bss = *skeleton_->bss;
  return {bss.spaces, bss.space_use, spaces_in_use_, &bss.all_use, &bss.traced_spaces};
}
RuleTable::Shared Object::rules() const {
  auto& bss = *skeleton_->bss;
  return {bss.rules,
          bss.trails,
          bss.space_code,
          bss.spaces,
          spaces_in_use_,
          snapshots_.as<mw_snapshot>(),
          &bss.snapshots_taken,
          &bss.code_changes,
          bss.snapshot_asked,
          bss.looked_at,
          chunk_factor_};
}
void Object::allow_snapshots(bool allowed) {
  skeleton_->bss->first_snapshots = allowed ? MW_FIRST_SNAPSHOTS : 0;
}
mw_u64* Object::stack_hashes() const { return skeleton_->bss->stack_hash; }
mw_u64* Object::chunk_keys() const { return skeleton_->bss->chunk_key; }
uint32_t* Object::chunk_ticks() const { return skeleton_->bss->chunk_tick; }

}  // namespace memwhy::probe
