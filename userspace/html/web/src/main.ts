// SPDX-License-Identifier: Apache-2.0
// The page of memwhy report: reads the answer out of its own file and shows one process of it at a time.
//
// What it is: the composition, and what all parts share (process, filter, unit, theme). What it is not: a part (verdict,
// waterfall, timeline, explorer, sections …), or a computation of the answer, which is explain/'s.
import { ages } from "./ages";
import { Moments, readAnswer, type Answer, type Process } from "./answer";
import { el, printable } from "./dom";
import { Explorer } from "./explorer";
import { bytes, currentUnit, setUnit, UNIT_NAMES, UNITS } from "./format";
import { Keys } from "./keys";
import { RateChart } from "./rates";
import { coverage, goroutines, ledgerTable, mappings } from "./sections";
import { Timeline } from "./timeline";
import { findings, verdict } from "./verdict";
import { waterfallTable } from "./waterfall";

const page = document.getElementById("page")!;
const keys = new Keys();
const wantsDark = matchMedia("(prefers-color-scheme: dark)");
let theme: "light" | "dark" | null = null; // null: as the system wants it
let chosen = 0;
let words = "";
let explorer: Explorer | null = null; // of the process that is shown; another unit or theme leaves it where it is

const setTheme = () => {
  document.documentElement.dataset["theme"] = theme ?? (wantsDark.matches ? "dark" : "light");
};

function section(id: string, title: string, says: string, ...content: Node[]): HTMLElement {
  return el(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    el("h2", { id: `${id}-title` }, title),
    says ? el("p", { class: "says" }, says) : null,
    ...content,
  );
}
const nameOf = (process: Process) =>
  `${process.comm ?? "process"} (pid ${process.pid})${process.replaced_by_exec ? ", before exec" : ""}`;

function show(answer: Answer, moments: Moments) {
  const process = answer.processes[chosen];
  if (!process) {
    page.replaceChildren(el("p", { class: "loading" }, "The recording holds no process."));
    return;
  }
  document.title = printable(`${nameOf(process)} – memwhy`);
  if (explorer?.process !== process) explorer = new Explorer(process, moments);
  const stacks = explorer,
    rates = new RateChart(process),
    aged = ages(process);
  stacks.filter = words;
  const timeline = new Timeline(process, (selection) => stacks.select(selection));
  const mapped = el("div", {}, mappings(process, words));
  const again = () => show(answer, moments);
  const nextUnit = () => {
    setUnit(UNITS[(UNITS.indexOf(currentUnit()) + 1) % UNITS.length]!);
    again();
  };
  const nextTheme = () => {
    theme = document.documentElement.dataset["theme"] === "dark" ? "light" : "dark";
    setTheme();
    again();
  };
  const filter = el("input", {
    type: "search",
    placeholder: "Filter by name",
    "aria-label": "Filter stacks and mappings by name",
    value: words,
    oninput: () => {
      words = stacks.filter = filter.value;
      void stacks.draw();
      mapped.replaceChildren(mappings(process, words));
    },
  });
  const parts: [string, string][] = [
    ["answer", "Answer"],
    ["time", "Over time"],
    ["stacks", "Stacks"],
    ["owners", "Owners"],
    ["ages", "Age"],
    ["rates", "Rates"],
    ["goroutines", "Goroutines"],
    ["mappings", "Mappings"],
    ["coverage", "Coverage"],
  ];
  if (!process.go)
    parts.splice(
      parts.findIndex(([id]) => id === "goroutines"),
      1,
    );
  const picker =
    answer.processes.length > 1
      ? el(
          "select",
          {
            "aria-label": "process",
            onchange: (event: { target: HTMLSelectElement }) => {
              chosen = Number(event.target.value);
              again();
            },
          },
          ...answer.processes.map((each, index) =>
            el("option", { value: index, selected: index === chosen }, `${nameOf(each)} ${bytes(each.rss.bytes)}`),
          ),
        )
      : el("span", { class: "process" }, nameOf(process));
  page.replaceChildren(
    el(
      "nav",
      { class: "top", "aria-label": "page" },
      el("span", { class: "mark" }, "memwhy"),
      picker,
      el("span", { class: "parts" }, ...parts.map(([id, name]) => el("a", { href: `#${id}` }, name))),
      filter,
      el("button", { type: "button", title: "units (key u)", onclick: nextUnit }, UNIT_NAMES[currentUnit()]),
      el(
        "button",
        { type: "button", title: "light or dark (key t)", onclick: nextTheme },
        document.documentElement.dataset["theme"] === "dark" ? "Light" : "Dark",
      ),
      el("button", { type: "button", title: "keys", "aria-label": "keys", onclick: () => keys.help() }, "?"),
    ),
    el(
      "section",
      { id: "answer", class: "hero" },
      el("div", {}, verdict(answer, process), findings(process)),
      process.rss.bytes != null ? el("div", { class: "panel" }, waterfallTable(process)) : el("div"),
    ),
    section("time", "Over time", "", timeline.element),
    section("stacks", "Stacks", "", stacks.element),
    section("owners", "Owners", "", ledgerTable(process)),
    section("ages", "Age", "", aged.element),
    section("rates", "Rates", "", rates.element),
    ...(process.go ? [section("goroutines", "Goroutines", "", goroutines(process))] : []),
    section("mappings", "Mappings and files", "", mapped),
    section("coverage", "Coverage", "What was seen, and what was not.", coverage(answer, process)),
    el(
      "footer",
      {},
      `Recorded from ${answer.interval.start?.slice(0, 19).replace("T", " ") ?? "an unknown time"} UTC by memwhy ${answer.recorder.version ?? ""}, Linux ${answer.recorder.kernel ?? "unknown"}, ${answer.recorder.architecture ?? ""}. All times are UTC. This file holds all of it and asks no network.`,
    ),
  );
  timeline.draw();
  keys.use([
    { key: "/", says: "filter by name", act: () => filter.focus() },
    { key: "i", says: "invert the stacks", act: () => stacks.invert() },
    { key: "v", says: "icicle or table", act: () => stacks.switchView() },
    { key: "r", says: "hide runtime frames", act: () => stacks.hideRuntime() },
    { key: "[", says: "an earlier moment", act: () => stacks.step(-1) },
    { key: "]", says: "a later moment", act: () => stacks.step(1) },
    { key: "Escape", says: "zoom out", act: () => stacks.zoomOut() },
    { key: "u", says: "units", act: nextUnit },
    { key: "t", says: "light or dark", act: nextTheme },
    ...parts.map(([id, name], index) => ({
      key: String(index + 1),
      says: name,
      act: () => document.getElementById(id)?.scrollIntoView(),
    })),
  ]);
  void stacks.draw().then(() => {
    page.setAttribute("aria-busy", "false");
    // What is further down waits until the first screen is there.
    requestAnimationFrame(() =>
      setTimeout(() => {
        rates.draw();
        aged.chart.draw();
      }),
    );
  });
}

setTheme();
readAnswer()
  .then((answer) => {
    const moments = new Moments();
    wantsDark.addEventListener("change", () => {
      if (!theme) {
        setTheme();
        show(answer, moments);
      }
    });
    show(answer, moments);
  })
  .catch((error: unknown) => {
    page.replaceChildren(
      el(
        "p",
        { class: "loading" },
        `The report cannot be shown: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
    page.setAttribute("aria-busy", "false");
  });
