// node onnxruntime_web.mjs NODE_MODULES MODEL PIXELS SHAPE RUNS: what onnxruntime-web makes of raw float32 pixels, as JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [nodeModules, model, pixels, shape, runs] = process.argv.slice(2);
const require = createRequire(`${nodeModules}/`);
const ort = require("onnxruntime-web");
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
const bytes = readFileSync(pixels);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const images = new ort.Tensor("float32", values, shape.split(",").map(Number));
const found = await session.run({ images });
const seconds = [];
for (let i = 0; i < Number(runs); i++) {
  const start = process.cpuUsage();
  await session.run({ images });
  const used = process.cpuUsage(start);
  seconds.push((used.user + used.system) / 1e6);
}
const outputs = Object.fromEntries(Object.entries(found).map(
  ([name, tensor]) => [name, { dims: tensor.dims, data: Array.from(tensor.data) }],
));
const version = ort.env.versions.web;
console.log(JSON.stringify({ version, seconds: seconds.sort((a, b) => a - b)[Math.floor(runs / 2)], outputs }));
