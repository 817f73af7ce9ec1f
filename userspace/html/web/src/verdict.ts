// SPDX-License-Identifier: Apache-2.0
// The answer in words: the verdict, and each finding with its remedy and evidence.
import type { Answer, Finding, Process } from "./answer";
import { el, figure } from "./dom";
import { bytes, rate, seconds, share } from "./format";

const VERDICTS = { problem: "Problem", no_problem: "No problem found", not_seen_long_enough: "Not seen long enough" };

function reason(process: Process): string {
  const { verdict } = process;
  if (verdict.is === "no_problem")
    return verdict.growth_seen_from_bytes_per_s == null ? "" : `Growth of ${rate(verdict.growth_seen_from_bytes_per_s)} or more would have been one.`;
  if (verdict.is === "problem" || !verdict.reason) return "";
  const more = verdict.seconds_more == null ? "" : `; ${seconds(verdict.seconds_more)} more would be`;
  return `${verdict.reason}${more}.`;
}

export function verdict(answer: Answer, process: Process): HTMLElement {
  const rss = process.rss.bytes, first = process.findings[0];
  const facts = [process.go ? `${process.go.version ?? "Go"}${process.go.race ? ", built with -race" : ""}${process.go.stripped ? ", stripped" : ""}` : null,
    process.threads == null ? null : `${process.threads} threads`, process.container ? `container ${process.container.slice(0, 12)}` : null, process.pod ? `pod ${process.pod}` : null,
    `recorded ${seconds(answer.interval.seconds)}${answer.recorder.host ? ` on ${answer.recorder.host}` : ""}`, `${process.coverage.scans} scans`,
    process.scan_time ? `the last at ${process.scan_time.slice(0, 19).replace("T", " ")} UTC` : null];
  return el("header", { class: "verdict" },
    el("p", { class: `state ${process.verdict.is}` }, VERDICTS[process.verdict.is]),
    el("h1", {}, rss == null ? "Resident bytes are unknown" : figure(rss, bytes(rss)), rss == null ? "" : " resident", first?.headline ? `; ${first.headline}` : ""),
    reason(process) ? el("p", {}, reason(process)) : null,
    el("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
    process.exe ? el("p", { class: "quiet code" }, process.exe) : null,
    process.note ? el("p", { class: "note" }, `${process.note}.`) : null);
}

function finding(found: Finding, open: boolean): HTMLElement {
  const list = (name: string, sentences: string[]) => (sentences.length ? [el("dt", {}, name), el("dd", {}, el("ul", {}, ...sentences.map((sentence) => el("li", {}, sentence))))] : []);
  return el("article", { class: `finding ${found.kind}` },
    el("h2", {}, el("span", { class: "id" }, found.id),
      found.kind === "problem" && found.recoverable_bytes != null ? el("span", { class: "returns" }, "returns ", figure(found.recoverable_bytes, bytes(found.recoverable_bytes))) : null,
      el("span", { class: "quiet" }, [share(found.share), found.growth_bytes_per_s ? rate(found.growth_bytes_per_s) : "", `confidence ${found.confidence}`].filter(Boolean).join(" · "))),
    el("p", { class: "claim" }, found.claim),
    found.remedy ? el("p", { class: "remedy" }, el("b", {}, "Remedy "), found.remedy) : null,
    found.evidence.length + found.against.length ? el("details", { open }, el("summary", {}, `Evidence (${found.evidence.length})${found.against.length ? `, against (${found.against.length})` : ""}`), el("dl", {}, ...list("evidence", found.evidence), ...list("against", found.against))) : null);
}

export function findings(process: Process): HTMLElement {
  if (!process.findings.length) return el("p", { class: "quiet" }, "No finding.");
  return el("div", { class: "findings" }, ...process.findings.map((each) => finding(each, false)));
}
