// SPDX-License-Identifier: Apache-2.0
// file-mapping: memory of mapped files. Clean pages of files are reclaimed under pressure before anything is
// killed, so a large stable mapping explains bytes and is no problem; one that keeps growing
// is.
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

class FileMapping : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    uint64_t bytes = c.ledger.total({Owner::kFileText, Owner::kFilePrivate, Owner::kFileShared});
    if (bytes == 0 || (bytes < problem_threshold(c.ledger) && c.largest_family != "file"))
      return std::nullopt;
    Trend trend = trend_of(c.moments, {Owner::kFileText, Owner::kFilePrivate, Owner::kFileShared});
    bool problem = bytes >= problem_threshold(c.ledger) && trend.lasting() &&
                   trend.grown_bytes >= problem_threshold(c.ledger);

    Finding finding;
    finding.id = "file-mapping";
    finding.kind = problem ? FindingKind::kProblem : FindingKind::kExplains;
    finding.bytes = bytes;
    finding.growth_bytes_per_s = trend.bytes_per_s;
    const uint64_t copies = of(c.ledger.bytes, Owner::kFilePrivate);
    finding.headline = bytes_and_share(bytes, c.ledger) + " are mapped files";
    finding.claim = fmt::format("Mapped files hold {} of {}'s memory{}", bytes_and_share(bytes, c.ledger),
                                c.process.comm, growth_clause(trend));
    if (copies * 2 > bytes) {
      const std::string of_it = fmt::format(
          ", {} of it copies of pages that were written, which the kernel can't drop", human_bytes(copies));
      finding.headline += of_it;
      finding.claim += of_it;
    }
    finding.claim += ".";
    finding.confidence = Confidence::kHigh;
    for (Owner owner : {Owner::kFileText, Owner::kFilePrivate, Owner::kFileShared}) {
      if (of(c.ledger.bytes, owner) == 0) continue;
      finding.evidence.push_back(
          fmt::format("{}: {}", owner_name(owner).id, human_bytes(of(c.ledger.bytes, owner))));
      if (of(c.ledger.bytes, owner) * 2 < bytes) continue;
      for (std::string& entry : heaviest_texts(c, owner, 3)) finding.evidence.push_back(std::move(entry));
    }
    if (problem) {
      finding.evidence.push_back(grown_text(trend));
      finding.bytes_figure("grown_bytes", trend.grown_bytes);
      finding.remedy =
          "Unmap files that are no longer read, or map smaller windows; madvise(MADV_DONTNEED) gives clean "
          "pages back at once.";
    } else {
      finding.remedy = copies * 2 > bytes
                           ? "None needed: copies of file pages stay until their mapping goes."
                           : "None needed: the kernel reclaims clean file pages under memory pressure.";
    }
    if (copies < bytes) {
      finding.against.push_back(fmt::format(
          "{} are page cache: shared with every process that maps these files", human_bytes(bytes - copies)));
      finding.bytes_figure("page_cache_bytes", bytes - copies);
    }
    return finding;
  }
};

}  // namespace

const Rule& file_mapping_rule() {
  static const FileMapping kRule;
  return kRule;
}

}  // namespace memwhy::explain
