// SPDX-License-Identifier: Apache-2.0
// Numbers and times as text: the only arithmetic of units. The first unit writes what memwhy's own text writes.

export type Unit = "binary" | "decimal" | "bytes";
export const UNITS: readonly Unit[] = ["binary", "decimal", "bytes"];
export const UNIT_NAMES: Record<Unit, string> = { binary: "MiB", decimal: "MB", bytes: "bytes" };
const NAMES = { binary: ["KiB", "MiB", "GiB", "TiB", "PiB"], decimal: ["kB", "MB", "GB", "TB", "PB"] };

let unit: Unit = "binary";
export const setUnit = (wanted: Unit) => { unit = wanted; };
export const currentUnit = () => unit;

const grouped = (value: number) => Math.round(value).toLocaleString("en-US");
export const count = (value: number) => grouped(value);

export function bytes(value: number | null | undefined): string {
  if (value == null) return "unknown";
  if (value < 0) return "−" + bytes(-value);
  const step = unit === "decimal" ? 1000 : 1024;
  if (unit === "bytes" || value < step) return grouped(value) + " B";
  const names = NAMES[unit];
  let scaled = value / step, index = 0;
  while (scaled >= step - 0.05 && index + 1 < names.length) { scaled /= step; ++index; }
  return `${scaled.toFixed(1)} ${names[index]}`;
}
export const signed = (value: number) => (value > 0 ? "+" : "") + bytes(value);
export function rate(bytesPerSecond: number | null): string {
  if (bytesPerSecond == null) return "";
  const each = Math.round(bytesPerSecond * 60);
  return each === 0 ? "0" : `${signed(each)}/min`;
}
export function share(value: number): string {
  const percent = value * 100;
  return percent > 0 && percent < 0.1 ? "<0.1 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}
export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${value.toFixed(0)} s`;
  if (value < 7200) return `${(value / 60).toFixed(0)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}
// RFC 3339 to seconds, as uPlot counts them; times are UTC on the whole page.
export const time = (rfc3339: string) => Date.parse(rfc3339) / 1000;
export const clock = (at: number) => new Date(at * 1000).toISOString().slice(11, 19);
export const clockOf = (rfc3339: string | null) => (rfc3339 ? rfc3339.slice(11, 19) : "unknown");
export const hex = (address: number) => address.toString(16).padStart(12, "0");
