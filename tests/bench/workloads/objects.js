// SPDX-License-Identifier: Apache-2.0
// node workload: two million small objects, half of them dropped on the way.
let kept = [];
for (let i = 0; i < 2_000_000; ++i) {
  kept.push({ id: i, name: 'item-' + i, next: null });
  if (i % 200_000 === 0) kept = kept.filter((_, index) => index % 2 === 0);
}
if (kept.length < 1000) process.exit(1);
