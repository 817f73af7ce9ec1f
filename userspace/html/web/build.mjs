// SPDX-License-Identifier: Apache-2.0
// Builds the page: src/*.ts, style.css and index.html into OUT/bundle.cpp (two arrays of bytes) and, to look at, OUT/page.html.
// usage: node build.mjs OUT      OUT/node_modules holds the libraries of package.json
//
// The script and the style stand in the page, and the Content-Security-Policy allows them alone, by their hashes.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2]);
const esbuild = createRequire(join(out, "package.json"))("esbuild");

async function bundled(entry) {
  const built = await esbuild.build({
    entryPoints: [join(here, entry)],
    nodePaths: [join(out, "node_modules")],
    absWorkingDir: here,
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    charset: "ascii",
    legalComments: "inline",
    logLevel: "warning",
  });
  // Neither may end the element that it stands in.
  return built.outputFiles[0].text
    .trim()
    .replace(/<\/(script|style)/gi, "<\\/$1")
    .replace(/<!--/g, "<\\!--");
}

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const script = await bundled("src/main.ts");
const style = await bundled("style.css");
const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
const page = readFileSync(join(here, "index.html"), "utf8")
  .replace("{{policy}}", () => policy)
  .replace("{{style}}", () => style)
  .replace("{{script}}", () => script);
const [head, tail, ...more] = page.split("{{blocks}}");
if (tail === undefined || more.length) throw new Error("index.html: {{blocks}} must be there once");

const bytes = (text) => [...Buffer.from(text)].join(",").replace(/(.{100,120}?,)/g, "$1\n");
const view = (name, text) => `
constexpr unsigned char k${name}[] = {
${bytes(text)}};
std::string_view page_${name.toLowerCase()}() { return {reinterpret_cast<const char*>(k${name}), sizeof k${name}}; }
`;
writeFileSync(join(out, "page.html"), page);
writeFileSync(
  join(out, "bundle.cpp"),
  `// Made by build.mjs.
#include "html/bundle.h"

namespace memwhy::html {
${view("Head", head)}${view("Tail", tail)}
}  // namespace memwhy::html
`,
);
