// Detects in a picture or the webcam with the LiteRT file beside this script, and draws the boxes.
// What the file takes and gives is in model.json; preparing a picture is edet/image/letterbox.py.

const at = (id) => document.getElementById(id);
const settings = JSON.parse(at("settings").textContent);
const canvas = at("view");
// Sides of what is drawn and detected in. Browsers draw larger canvases black without an error: those
// of iPhones above 4096 x 4096 pixels in all. It is far more than a screen or a network's input has.
const LARGEST = 4096;
const source = document.createElement("canvas"); // to read pixels from
const reader = source.getContext("2d", { willReadFrequently: true });

let card, model, Tensor;
let shown = null; // what `detect` found, with its picture
let stream = null; // of the webcam while it is on
let choices = 0; // how many there were of pictures and the webcam

function say(text, isProblem = false) {
  at("status").textContent = text;
  at("status").classList.toggle("problem", isProblem);
}

function missing() {
  const parts = {
    WebAssembly: "WebAssembly" in globalThis,
    "pictures as bitmaps": "createImageBitmap" in globalThis,
    "import maps": !!globalThis.HTMLScriptElement?.supports?.("importmap"),
  };
  return Object.keys(parts).filter((name) => !parts[name]);
}

async function start() {
  const lacking = missing();
  if (lacking.length) {
    say(`This browser lacks ${lacking.join(", ")}; use a current Chrome, Edge, Firefox or Safari.`, true);
    return;
  }
  try {
    const answer = await fetch("model.json");
    if (!answer.ok) throw new Error(`model.json: ${answer.status}`);
    card = await answer.json();
  } catch (error) {
    say(`The model cannot be read (${error.message}); serve this folder: edet serve_web --folder=...`, true);
    return;
  }
  try {
    // The runtime tells even of its start as of errors.
    const isNews = (line) => /^(INFO|WARNING)/.test(line);
    globalThis.Module = { printErr: (line) => (isNews(line) ? console.debug : console.error)(line) };
    const runtime = await import("@litertjs/core");
    Tensor = runtime.Tensor;
    // Workers of another origin are refused, so threads need the runtime beside the page, and pages
    // have shared memory only where a server isolates them.
    const threads = settings.local && globalThis.crossOriginIsolated === true;
    await runtime.loadLiteRt(new URL(settings.wasm, location.href).href, { threads });
    model = await runtime.loadAndCompile("model.tflite", { accelerator: "wasm" });
  } catch (error) {
    say(`LiteRT.js cannot be loaded: ${error?.message ?? "its files are not there"}.`, true);
    return;
  }
  say("Ready: choose or drop a picture, or turn the webcam on.");
  document.body.dataset.ready = "";
}

/** Returns the pixels of what can be drawn, scaled down where a side is above `LARGEST`. */
function read(drawable, width, height) {
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  [source.width, source.height] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  reader.drawImage(drawable, 0, 0, source.width, source.height);
  return reader.getImageData(0, 0, source.width, source.height);
}

/** Returns the pixels of an image in the network input, and the scales of y and x.

The arithmetic is float32's, as in Python: in some shapes the long side is one pixel short. */
function prepare({ data: given, width: columns, height: rows }) {
  const [, height, width] = card.input.shape;
  const f = Math.fround;
  let [sy, sx] = [f(height / rows), f(width / columns)];
  let [h, w] = [height, width];
  if (card.input.fit === "letterbox") {
    sy = sx = Math.min(sy, sx);
    [h, w] = [rows, columns].map((side) => Math.max(1, Math.trunc(f(side * sy))));
  }
  const isBytes = card.input.type === "uint8";
  const pixels = new (isBytes ? Uint8Array : Float32Array)(height * width * 3);
  const color = isBytes ? card.input.padding.map(Math.round) : card.input.padding;
  for (let i = 0; i < pixels.length; i++) pixels[i] = color[i % 3];
  const across = taps(w, columns);
  const down = taps(h, rows);
  for (let y = 0; y < h; y++) {
    const [top, bottom, v] = down[y];
    for (let x = 0; x < w; x++) {
      const [left, right, u] = across[x];
      for (let c = 0; c < 3; c++) {
        const p = (row, column) => given[(row * columns + column) * 4 + c];
        const above = p(top, left) + (p(top, right) - p(top, left)) * u;
        const below = p(bottom, left) + (p(bottom, right) - p(bottom, left)) * u;
        const value = above + (below - above) * v;
        pixels[(y * width + x) * 3 + c] = isBytes ? Math.round(value) : value;
      }
    }
  }
  return { pixels, sy, sx };
}

/** Which two pixels of `length` each of `count` lies between, and how far: half-pixel centres. */
function taps(count, length) {
  const step = Math.fround(length / count);
  return Array.from({ length: count }, (_, i) => {
    const place = Math.fround((i + 0.5) * step) - 0.5;
    const first = Math.floor(place);
    return [Math.max(first, 0), Math.min(first + 1, length - 1), place - first];
  });
}

/** Detects in what can be drawn; the rows are [{name, score, box: [ymin, xmin, ymax, xmax]}].

Boxes are in the picture's own pixels; `scales` of y and x lead to those of `image`. */
async function detect(drawable, width, height) {
  const began = performance.now();
  const image = read(drawable, width, height);
  const scales = [image.height / height, image.width / width];
  const { pixels, sy, sx } = prepare(image);
  const input = new Tensor(pixels, card.input.shape);
  const ran = performance.now();
  const outputs = await model.run({ images: input });
  const done = performance.now();
  const values = Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.toTypedArray().slice()]));
  for (const tensor of [input, ...Object.values(outputs)]) tensor.delete();
  const rows = Array.from({ length: values.num_detections[0] }, (_, i) => {
    const box = values.boxes.subarray(4 * i, 4 * i + 4);
    const id = values.classes[i];
    return {
      name: card.labels[id] || `class ${id}`,
      id,
      score: values.scores[i],
      box: Array.from(box, (value, k) => value / (k % 2 ? sx : sy) / scales[k % 2]),
    };
  });
  return { image, scales, rows, network: done - ran, total: performance.now() - began };
}

function draw() {
  const least = Number(at("threshold").value);
  at("least").textContent = least.toFixed(2);
  if (!shown) return;
  const rows = shown.rows.filter((row) => row.score >= least);
  canvas.width = shown.image.width;
  canvas.height = shown.image.height;
  const pen = canvas.getContext("2d");
  pen.putImageData(shown.image, 0, 0);
  const line = Math.max(2, Math.round(Math.max(canvas.width, canvas.height) / 300));
  pen.lineWidth = line;
  pen.font = `${7 * line}px system-ui, sans-serif`;
  pen.textBaseline = "top";
  for (const { name, id, score, box } of rows.toReversed()) { // the best on top
    const [top, left, bottom, right] = box.map((value, k) => value * shown.scales[k % 2]);
    const text = `${name} ${score.toFixed(2)}`;
    const hue = (id * 137.5) % 360;
    pen.strokeStyle = `hsl(${hue} 90% 45%)`;
    pen.strokeRect(left, top, right - left, bottom - top);
    const y = Math.max(0, top - 9 * line);
    const x = Math.max(0, left);
    pen.fillStyle = `hsl(${hue} 90% 25%)`;
    pen.fillRect(x, y, pen.measureText(text).width + 2 * line, 9 * line);
    pen.fillStyle = "white";
    pen.fillText(text, x + line, y + line);
  }
  at("found").replaceChildren(...rows.map(({ name, score, box }) => {
    const row = document.createElement("tr");
    for (const text of [name, score.toFixed(2), box.map((v) => v.toFixed(0)).join(" ")]) {
      row.appendChild(document.createElement("td")).textContent = text;
    }
    return row;
  }));
  const what = `${rows.length} object${rows.length === 1 ? "" : "s"}`;
  canvas.setAttribute("aria-label", `The picture with ${what}`);
  const times = `${shown.network.toFixed(0)} ms in the model, ${shown.total.toFixed(0)} ms in all`;
  say(`${what} of ${shown.rows.length} found, ${times}.`);
}

/** Ends what was chosen before; returns what tells whether nothing has been chosen since. */
function choose() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  at("camera").setAttribute("aria-pressed", "false");
  const mine = ++choices;
  return () => mine === choices;
}

/** Detects in what can be drawn, and shows it unless something else was chosen meanwhile. */
async function look(isLast, drawable, width, height) {
  const found = await detect(drawable, width, height);
  if (!isLast()) return;
  shown = found;
  at("hint").hidden = true;
  draw();
}

async function open(file) {
  if (!file || !model) return;
  const isLast = choose();
  say(`Looking at ${file.name} …`);
  try {
    const options = { colorSpaceConversion: "none", imageOrientation: "from-image" };
    const picture = await createImageBitmap(file, options);
    if (isLast()) await look(isLast, picture, picture.width, picture.height);
    picture.close(); // four bytes a pixel, which are collected late otherwise
  } catch (error) {
    if (isLast()) say(`${file.name} cannot be shown: ${error.message}`, true);
  }
}

async function toggleCamera() {
  if (stream) return choose();
  if (!model) return;
  if (!navigator.mediaDevices?.getUserMedia) {
    say("This browser gives pages no webcam here; open the page over https or at 127.0.0.1.", true);
    return;
  }
  const isLast = choose();
  let given;
  try {
    given = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    if (isLast()) say(`There is no webcam to use: ${error.message}`, true);
    return;
  }
  if (!isLast()) return given.getTracks().forEach((track) => track.stop());
  stream = given;
  at("camera").setAttribute("aria-pressed", "true");
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true });
  await video.play();
  while (isLast()) {
    await look(isLast, video, video.videoWidth, video.videoHeight);
    await new Promise(requestAnimationFrame);
  }
}

at("file").addEventListener("change", ({ target }) => {
  open(target.files[0]);
  target.value = ""; // or choosing the same file later, after another was dropped, changes nothing
});
at("camera").addEventListener("click", toggleCamera);
at("threshold").addEventListener("input", draw);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // or the browser leaves for the picture
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}
draw();
start();
// For those who want the numbers: edet.found() in the console.
globalThis.edet = { found: () => shown };
