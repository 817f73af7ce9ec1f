// SPDX-License-Identifier: Apache-2.0
// Colours. An owner has the hue of its family (Go's heap, C's heap, files …) and within it a step of lightness of its own, so that
// the page reads the same from the ledger to the icicle, and in each report.

interface Family {
  prefix: string;
  hue: number;
  chroma: number;
}
// The first prefix that fits.
const FAMILIES: readonly Family[] = [
  { prefix: "go.heap", hue: 248, chroma: 0.125 },
  { prefix: "go.stacks", hue: 195, chroma: 0.09 },
  { prefix: "go.", hue: 295, chroma: 0.1 },
  { prefix: "race", hue: 28, chroma: 0.135 },
  { prefix: "sanitizer", hue: 28, chroma: 0.11 },
  { prefix: "c.heap", hue: 155, chroma: 0.11 },
  { prefix: "python", hue: 118, chroma: 0.11 },
  { prefix: "java", hue: 60, chroma: 0.11 },
  { prefix: "js", hue: 95, chroma: 0.12 },
  { prefix: "thread.", hue: 195, chroma: 0.08 },
  { prefix: "main.", hue: 195, chroma: 0.06 },
  { prefix: "file", hue: 255, chroma: 0.025 },
  { prefix: "program", hue: 255, chroma: 0.04 },
  { prefix: "shmem", hue: 340, chroma: 0.08 },
  { prefix: "unattributed", hue: 350, chroma: 0.19 },
  { prefix: "anon", hue: 78, chroma: 0.1 },
];
const OTHER: Family = { prefix: "", hue: 320, chroma: 0.08 };
// Steps of lightness by the kind of memory in the id: in use is deeper than free.
const STEPS: readonly [RegExp, number][] = [
  [/(live|used|shadow|text|stacks)$/, 0],
  [/(idle|free|before_attach)$/, 0.14],
  [/(unmarked|internal|private)$/, 0.09],
  [/(fragmentation|meta|shared)$/, 0.19],
  [/(released|unclassified)/, 0.23],
];

const dark = () => document.documentElement.dataset["theme"] === "dark";
const oklch = (l: number, c: number, h: number) => `oklch(${l.toFixed(3)} ${c.toFixed(3)} ${h})`;

function shade(id: string): { l: number; c: number; h: number } {
  const family = FAMILIES.find((each) => id.startsWith(each.prefix)) ?? OTHER;
  const step = STEPS.find(([pattern]) => pattern.test(id))?.[1] ?? 0.05;
  return { l: (dark() ? 0.56 : 0.6) + step, c: family.chroma * (1 - step), h: family.hue };
}
export function ownerColour(id: string): string {
  const { l, c, h } = shade(id);
  return oklch(l, c, h);
}
// Of a frame below an owner: the program's own code has the owner's colour, other code fades toward the page.
const FADE: Record<string, number> = {
  program: 0,
  library: 0.35,
  runtime: 0.6,
  allocator: 0.6,
  libc: 0.6,
  race: 0.5,
  kernel: 0.7,
  unknown: 0.5,
  cut: 0.8,
  none: 0.2,
};
export function frameColour(owner: string, kind: string, text: string): { fill: string; ink: string } {
  const { l, c, h } = shade(owner);
  const fade = FADE[kind] ?? 0.3;
  let hash = 0;
  for (let i = 0; i < text.length; ++i) hash = (hash * 31 + text.charCodeAt(i)) | 0;
  const stir = ((hash >>> 0) % 100) / 100 - 0.5; // neighbours differ a little
  const target = dark() ? 0.36 : 0.9;
  const lightness = Math.min(0.93, l + 0.07 * (dark() ? -1 : 1) + (target - l) * fade + stir * 0.05);
  return { fill: oklch(lightness, c * (1 - fade * 0.75), h + stir * 8), ink: lightness > 0.62 ? "#16181d" : "#f6f7f9" };
}
export const themed = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
