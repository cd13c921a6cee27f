// The page of a run: draws charts and pictures from the JSON in the page. Asks nothing of a network.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const percent = (value) => (100 * value).toFixed(1);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"];
const BOX = { truth: "#2fd08f", crowd: "#aaaaaa", right: "#4db8ff", wrong: "#ff8a3c", plain: "#ffd23f" };

function read(id) {
  const node = document.getElementById(id);
  return node && JSON.parse(node.textContent);
}

// Text is always set as text: names come from data sets.
function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// ---- charts

const charts = [];
// Its first colour is dark, and changes its place with the light one where the page is dark.
const palette = () => document.documentElement.dataset.theme === "dark" ? [PALETTE[4], ...PALETTE.slice(1, 4), PALETTE[0], PALETTE[5]] : PALETTE;
const rounded = (value) => (value === null ? "" : Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }));

// series: [[label, values or null, more of uPlot's options]]; mark: [[x, text]] of vertical lines.
function chart(node, { title, x, series, y = [null, null], mark = () => [], xName = "" }) {
  const show = () => {
    const ink = color("soft"), line = color("line");
    const axis = (more) => ({ stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, ...more });
    const marks = (plot) => {
      for (const [at, text] of mark()) {
        const left = plot.valToPos(at, "x", true), { top, height } = plot.bbox;
        plot.ctx.save();
        plot.ctx.strokeStyle = plot.ctx.fillStyle = color("good");
        plot.ctx.setLineDash([5, 4]);
        plot.ctx.beginPath(); plot.ctx.moveTo(left, top); plot.ctx.lineTo(left, top + height); plot.ctx.stroke();
        const isAtEnd = left > plot.bbox.left + 0.85 * plot.bbox.width;
        plot.ctx.textAlign = isAtEnd ? "right" : "left";
        plot.ctx.fillText(text, left + (isAtEnd ? -4 : 4), top + 14);
        plot.ctx.restore();
      }
    };
    const padding = 2 * parseFloat(getComputedStyle(node).paddingLeft);
    const plot = new uPlot({
      title, width: Math.max(240, node.clientWidth - padding), height: 240, cursor: { y: false },
      scales: { x: { time: false }, y: { range: (_, low, high) => [y[0] ?? low, y[1] ?? high] } },
      axes: [axis({ label: xName, labelSize: xName ? 20 : 0, size: 34 }), axis({ size: 62, values: (_, ticks) => ticks.map(rounded) })],
      series: [{ label: xName || "x" }, ...series.map(([label, , more], k) => ({
        label, stroke: palette()[k % PALETTE.length], width: 2, value: (_, value) => rounded(value ?? null), points: { show: x.length < 40 }, spanGaps: true, ...more }))],
      hooks: { draw: [marks] },
    }, [x, ...series.map(([, values]) => values)], node);
    return plot;
  };
  const entry = { node, show, plot: show() };
  charts.push(entry);
  return entry;
}

function redrawCharts() {
  for (const entry of charts) { entry.plot.destroy(); entry.plot = entry.show(); }
}

// The strips stand behind this script.
const whole = new Promise((done) => addEventListener("DOMContentLoaded", done));

// ---- pictures: strips of thumbnails are unpacked when one of theirs comes into view

class Pictures {
  constructor(name, places) {
    this.name = name; this.places = places; this.strips = new Map();
  }
  strip(number) {
    if (!this.strips.has(number)) {
      if (this.strips.size > 12) this.strips.delete(this.strips.keys().next().value);
      const image = new Image();
      this.strips.set(number, whole.then(() => {
        image.src = "data:image/jpeg;base64," + document.getElementById(`${this.name}-strip-${number}`).textContent;
        return image.decode();
      }).then(() => image));
    }
    return this.strips.get(number);
  }
  // panels: [{label, boxes: [{box: [x, y, w, h], kind, text, strong, dashed}]}], beside one another.
  async draw(canvas, place, size, panels, large = false) {
    const known = this.places[place];
    const [number, top, width, height] = known || [0, 0, 320, size[0] ? Math.round((320 * size[1]) / size[0]) : 240];
    const zoom = (large ? 960 : 512) / Math.max(width, height), gap = 6, w = width * zoom, h = height * zoom;
    canvas.width = w * panels.length + gap * (panels.length - 1);
    canvas.height = h;
    const brush = canvas.getContext("2d");
    const strip = known ? await this.strip(number) : null;
    panels.forEach((panel, k) => {
      const left = k * (w + gap);
      brush.fillStyle = "#777"; brush.fillRect(left, 0, w, h);
      if (strip) brush.drawImage(strip, 0, top, width, height, left, 0, w, h);
      brush.save();
      brush.beginPath(); brush.rect(left, 0, w, h); brush.clip();
      const scale = [w / (size[0] || width), h / (size[1] || height)];
      const unit = canvas.width / (canvas.clientWidth || 360); // of the canvas, a pixel of the page
      const font = Math.round((large ? 12 : 10) * unit);
      brush.font = `600 ${font}px system-ui, sans-serif`;
      for (const strong of [false, true]) {
        for (const one of panel.boxes.filter((b) => Boolean(b.strong) === strong)) {
          const [x, y, bw, bh] = one.box.map((v, i) => v * scale[i % 2]);
          brush.globalAlpha = strong || large || !panel.boxes.some((b) => b.strong) ? 1 : 0.45;
          brush.strokeStyle = BOX[one.kind]; brush.lineWidth = (strong ? 2.5 : 1.2) * unit;
          brush.setLineDash(one.dashed ? [6, 5] : []);
          brush.strokeRect(left + x, y, bw, bh);
          if (one.text && (strong || large || panel.boxes.length * panels.length <= 12)) {
            const length = brush.measureText(one.text).width + 6, up = Math.max(0, y - font - 4);
            const at = Math.max(left, Math.min(left + x, left + w - length));
            brush.fillStyle = BOX[one.kind]; brush.fillRect(at, up, length, font + 4);
            brush.fillStyle = "#101418"; brush.fillText(one.text, at + 3, up + font);
          }
        }
      }
      brush.globalAlpha = 1;
      if (panels.length > 1) {
        brush.fillStyle = "rgba(0,0,0,.65)"; brush.fillRect(left, h - font - 8, brush.measureText(panel.label).width + 10, font + 8);
        brush.fillStyle = "#fff"; brush.fillText(panel.label, left + 5, h - 6);
      }
      brush.restore();
    });
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target); target.paint(); }
}, { rootMargin: "300px" });

const PAGE = 24;

// items: [{place, size, panels, title}]; what is shown grows by PAGE when asked to.
function gallery(node, pictures, items) {
  node.replaceChildren();
  const grid = make("div", { className: "gallery" });
  const more = make("button", { textContent: "show more", onclick: () => add(grid.childElementCount) });
  const add = (from) => {
    items.slice(from, from + PAGE).forEach((item, k) => {
      const canvas = make("canvas", { width: 640, height: 240 });
      const card = make("button", { type: "button", onclick: () => view(pictures, items, from + k) }, canvas, make("span", { textContent: item().title }));
      canvas.paint = () => { const { place, size, panels } = item(); pictures.draw(canvas, place, size, panels); };
      grid.append(card); seen.observe(canvas);
    });
    more.hidden = grid.childElementCount >= items.length;
    more.textContent = `show more (${items.length - grid.childElementCount} left)`;
  };
  add(0);
  node.append(grid, make("p", {}, items.length ? more : "nothing here"));
}

// One picture, large; arrows go on.
function view(pictures, items, at) {
  const dialog = $("#viewer"), canvas = $("canvas", dialog);
  const show = (to) => {
    at = (to + items.length) % items.length;
    const { place, size, panels, title } = items[at]();
    $("p", dialog).textContent = title;
    $("span", dialog).textContent = `${at + 1} of ${items.length}`;
    pictures.draw(canvas, place, size, panels, true);
  };
  $(".back", dialog).onclick = () => show(at - 1);
  $(".on", dialog).onclick = () => show(at + 1);
  dialog.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { event.preventDefault(); show(at + step); }
  };
  show(at);
  if (!dialog.open) dialog.showModal();
}

// ---- evaluation

class Evaluation {
  constructor(data) {
    Object.assign(this, data);
    this.byImage = (rows) => {
      const lists = this.images.map(() => []);
      rows.image.forEach((image, row) => lists[image].push(row));
      return lists;
    };
    this.truthOf = this.byImage(this.truth);
    this.foundIn = this.byImage(this.found);
    this.placeOf = new Map(this.pictures.map((image, place) => [image, place]));
    this.kind = (name) => this.kinds.indexOf(name);
  }
  // Right and false detections and objects of some classes and sizes, at every threshold.
  totals(label, size) {
    const total = { right: new Array(101).fill(0), false: new Array(101).fill(0), objects: 0 };
    this.classes.forEach((_, k) => this.sizes.forEach((_, s) => {
      if ((label >= 0 && label !== k) || (size >= 0 && size !== s)) return;
      total.objects += this.counts.objects[k][s];
      for (const what of ["right", "false"]) this.counts[what][k][s].forEach((n, t) => { total[what][t] += n; });
    }));
    const precision = total.right.map((right, t) => right + total.false[t] ? right / (right + total.false[t]) : null);
    const recall = total.right.map((right) => total.objects ? right / total.objects : null);
    const f1 = total.right.map((right, t) => 2 * right / Math.max(1, right + total.false[t] + total.objects));
    return { ...total, precision, recall, f1 };
  }
  box(rows, row) { return rows.box.slice(4 * row, 4 * row + 4); }
  truthBoxes(image, strong = []) {
    return this.truthOf[image].map((row) => ({
      box: this.box(this.truth, row), text: this.classes[this.truth.class[row]], strong: strong.includes(row),
      kind: this.truth.crowd[row] ? "crowd" : "truth", dashed: this.truth.crowd[row] }));
  }
  foundBoxes(image, threshold, strong = []) {
    return this.foundIn[image].filter((row) => this.found.score[row] >= threshold || strong.includes(row)).map((row) => ({
      box: this.box(this.found, row), strong: strong.includes(row),
      text: `${this.classes[this.found.class[row]]} ${percent(this.found.score[row])}`,
      kind: this.found.kind[row] === 0 ? "right" : "wrong" }));
  }
  item(image, threshold, { truth = [], found = [], title = "" } = {}) {
    return () => ({
      place: this.placeOf.get(image), size: this.images[image].slice(1), title: `${title} · ${this.images[image][0]}`,
      panels: [{ label: "ground truth", boxes: this.truthBoxes(image, truth) },
               { label: "detections", boxes: this.foundBoxes(image, threshold, found) }] });
  }
  // Whether a detection is seen at a threshold that has found this object, by the page's own list.
  isFound(row, threshold) {
    const by = this.truth.found_by[row];
    return by >= 0 && this.found.score[by] >= threshold;
  }
  foundItem(row, threshold, title = "") {
    const about = this.found.about[row];
    const name = this.classes[this.found.class[row]], score = percent(this.found.score[row]);
    const there = about >= 0 && this.truth.class[about] !== this.found.class[row] ? ` instead of ${this.classes[this.truth.class[about]]}` : "";
    return this.item(this.found.image[row], threshold, {
      truth: about >= 0 ? [about] : [], found: [row], title: `${title}${name} ${score}${there}` });
  }
  missedItem(row, threshold) {
    return this.item(this.truth.image[row], threshold, { truth: [row], title: `${this.classes[this.truth.class[row]]}, ${this.sizes[this.truth.size[row]]}` });
  }
  // Pairs of the confusion matrix at a threshold: {"row,column": [items]}.
  cells(threshold) {
    const nothing = this.classes.length, cells = new Map(), taken = new Set();
    const put = (row, column, item) => {
      const key = `${row},${column}`;
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(item);
    };
    this.found.score.forEach((score, row) => {
      if (score < threshold || !this.found.any_counts[row]) return;
      const object = this.found.object[row];
      if (object >= 0) taken.add(object);
      const at = object >= 0 ? this.truth.class[object] : nothing;
      put(at, this.found.class[row], this.item(this.found.image[row], threshold, {
        truth: object >= 0 ? [object] : [], found: [row],
        title: `${at === nothing ? "background" : this.classes[at]} taken for ${this.classes[this.found.class[row]]} ${percent(score)}` }));
    });
    this.truth.class.forEach((label, row) => {
      if (!this.truth.crowd[row] && !taken.has(row)) put(label, nothing, this.missedItem(row, threshold));
    });
    return cells;
  }
}

function showEvaluation(data, strips) {
  const shown = new Evaluation(data), pictures = new Pictures("evaluation", strips);
  const state = { threshold: data.best.score, label: -1, size: -1, kind: "missed", cell: null };
  const slider = Object.assign($("#threshold"), { min: Math.ceil(100 * data.floor) }), label = $("#class"), size = $("#size");
  data.classes.forEach((name, k) => label.append(make("option", { value: k, textContent: name })));
  data.sizes.forEach((name, s) => size.append(make("option", { value: s, textContent: name })));
  const share = (100 * data.best.score - slider.min) / (100 - slider.min);
  $("#best-mark").style.left = `calc(${share} * (100% - 16px) + 8px)`;
  $("#best").textContent = `best ${data.best.score.toFixed(2)}`;

  const at = Array.from({ length: 101 }, (_, t) => t / 100);
  let counts = shown.totals(-1, -1);
  const curve = chart($("#threshold-chart"), {
    title: "Precision, recall and F1 at each score", x: at, y: [0, 1], xName: "score threshold",
    series: [["precision", counts.precision], ["recall", counts.recall], ["F1", counts.f1]],
    mark: () => [[data.best.score, "best"], [state.threshold, ""]] });
  const recalls = curveChart(data);
  calibrationChart(data);

  function tell() {
    const t = Math.round(100 * state.threshold);
    counts = shown.totals(state.label, state.size);
    slider.value = t;
    const text = {
      "at": state.threshold.toFixed(2), "right": counts.right[t], "false": counts.false[t], "missed": counts.objects - counts.right[t],
      "precision": counts.precision[t] === null ? "–" : percent(counts.precision[t]),
      "recall": counts.recall[t] === null ? "–" : percent(counts.recall[t]), "f1": percent(counts.f1[t]) };
    for (const [name, value] of Object.entries(text)) $(`#count-${name}`).textContent = value;
    curve.plot.setData([at, counts.precision, counts.recall, counts.f1]);
    recalls(state.label);
    label.value = state.label; size.value = state.size;
    document.querySelectorAll("tr[data-class]").forEach((row) => row.classList.toggle("chosen", Number(row.dataset.class) === state.label));
    const cells = shown.cells(state.threshold);
    showMatrix(shown, cells, (cell) => { state.kind = ""; state.cell = cell; tell(); $("#gallery-title").scrollIntoView({ block: "nearest" }); });
    const items = state.cell ? cells.get(state.cell.join()) || [] : galleryItems(shown, state);
    const name = (k, other) => (k === shown.classes.length ? other : shown.classes[k]);
    $("#gallery-title").textContent = `${state.cell ? `${name(state.cell[0], "background")} taken for ${name(state.cell[1], "nothing")}` : state.kind}: ${items.length}`;
    document.querySelectorAll("#tabs button").forEach((button) => button.setAttribute("aria-pressed", button.textContent === state.kind));
    gallery($("#gallery"), pictures, items);
  }
  let waiting = false;
  const soon = () => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; tell(); });
    waiting = true;
  };
  slider.oninput = () => { state.threshold = slider.value / 100; soon(); };
  label.onchange = () => { state.label = Number(label.value); soon(); };
  size.onchange = () => { state.size = Number(size.value); soon(); };
  $("#best").onclick = () => { state.threshold = data.best.score; soon(); };
  const choose = (kind) => { state.kind = kind; state.cell = null; soon(); };
  const kinds = ["missed", "false alarm", "wrong class", "bad box", "wrong class and box", "duplicate", "correct", "all pictures"];
  kinds.forEach((kind) => $("#tabs").append(make("button", { type: "button", textContent: kind, onclick: () => choose(kind) })));
  document.querySelectorAll("tr[data-class]").forEach((row) => {
    row.onclick = () => { state.label = state.label === Number(row.dataset.class) ? -1 : Number(row.dataset.class); soon(); };
  });
  document.addEventListener("keydown", (event) => {
    if ($("#viewer").open || ["SELECT", "INPUT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey) return;
    if (kinds[event.key - 1]) choose(kinds[event.key - 1]);
    const step = { "[": -1, "]": 1 }[event.key];
    if (step) { state.threshold = Math.min(100, Math.max(slider.min, Math.round(100 * state.threshold) + step)) / 100; soon(); }
  });
  tell();
}

function galleryItems(shown, { threshold, label, size, kind }) {
  const fits = (rows, row) => (label < 0 || rows.class[row] === label) && (size < 0 || rows.size[row] === size);
  const area = (row) => shown.truth.box[4 * row + 2] * shown.truth.box[4 * row + 3];
  if (kind === "missed") {
    const rows = shown.truth.class.map((_, row) => row).filter((row) => !shown.truth.crowd[row] && fits(shown.truth, row) && !shown.isFound(row, threshold));
    return rows.sort((a, b) => area(b) - area(a)).map((row) => shown.missedItem(row, threshold));
  }
  if (kind === "all pictures") {
    return shown.pictures.filter((image) => (label < 0 && size < 0) || shown.truthOf[image].some((row) => fits(shown.truth, row)))
      .map((image) => shown.item(image, threshold, { title: `${shown.truthOf[image].length} objects` }));
  }
  const number = shown.kind(kind);
  const rows = shown.found.kind.map((_, row) => row).filter((row) => shown.found.kind[row] === number && shown.found.score[row] >= threshold && fits(shown.found, row));
  return rows.sort((a, b) => shown.found.score[b] - shown.found.score[a]).map((row) => shown.foundItem(row, threshold));
}

const LARGEST = 25;

function showMatrix(shown, cells, choose) {
  const nothing = shown.classes.length, count = (row, column) => (cells.get(`${row},${column}`) || []).length;
  const truths = new Array(nothing).fill(0);
  shown.truth.class.forEach((k) => truths[k]++);
  const some = truths.map((n, k) => [n, k]).sort((a, b) => b[0] - a[0]).slice(0, LARGEST).map(([, k]) => k).sort((a, b) => a - b);
  const rows = [...some, nothing], name = (k, other) => (k === nothing ? other : shown.classes[k]);
  const head = make("tr", {}, make("th", { textContent: "is \\ taken for" }), ...rows.map((k) => make("th", { textContent: name(k, "nothing") })));
  const body = rows.map((row) => {
    const total = Math.max(1, sum([...cells.entries()].filter(([key]) => key.startsWith(`${row},`)).map(([, items]) => items.length)));
    return make("tr", {}, make("th", { textContent: name(row, "background") }), ...rows.map((column) => {
      const n = count(row, column);
      const button = make("button", { type: "button", textContent: n || "·", disabled: !n, onclick: () => choose([row, column]) });
      button.dataset.cell = `${row},${column}`;
      button.style.setProperty("--share", n / total);
      return make("td", {}, button);
    }));
  });
  $("#matrix").replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  const worst = [...cells.entries()].map(([key, items]) => [...key.split(",").map(Number), items.length])
    .filter(([row, column]) => row !== column && row < nothing && column < nothing).sort((a, b) => b[2] - a[2]).slice(0, 8);
  $("#confusions").replaceChildren(...worst.map(([row, column, n]) =>
    make("button", { type: "button", textContent: `${shown.classes[row]} → ${shown.classes[column]} ${n}`, onclick: () => choose([row, column]) })));
}

function curveChart(data) {
  const names = Object.keys(data.curves), recall = Array.from({ length: 101 }, (_, r) => r / 100);
  const of = (chosen) => [0, 1, 2].map((k) => recall.map((_, r) => chosen.length ? sum(chosen.map((name) => data.curves[name][k][r])) / chosen.length : null));
  const entry = chart($("#recall-chart"), {
    title: "Precision over recall", x: recall, y: [0, 1], xName: "recall",
    series: of(names).map((values, k) => [["IoU 0.50", "IoU 0.75", "IoU 0.50:0.95"][k], values]) });
  return (label) => {
    const name = data.classes[label];
    entry.plot.setData([recall, ...of(label < 0 ? names : names.filter((one) => one === name))]);
  };
}

function calibrationChart(data) {
  const bins = data.calibration.bins;
  chart($("#calibration-chart"), {
    title: `How often a score is right (expected error ${percent(data.calibration.error)} %)`, x: bins.map((bin) => bin.score), y: [0, 1], xName: "score",
    series: [["share that is right", bins.map((bin) => bin.right), { points: { show: true, size: 8 } }],
             ["perfect", bins.map((bin) => bin.score), { dash: [5, 4], stroke: "#888", points: { show: false } }]] });
}

// ---- training

function showTraining({ history, evaluations, best }) {
  const node = $("#training-charts");
  const add = (title, rows, names, { withZeros = false, ...more } = {}) => {
    const known = names.filter((name) => rows[name] && rows[name].some((value) => value !== null && (withZeros || value !== 0)));
    if (!known.length) return;
    const card = node.appendChild(make("div", { className: "card chart" }));
    waiting.push(() => chart(card, { title, x: rows.step, xName: "step", series: known.map((name) => [name, rows[name]]), ...more }));
  };
  const waiting = []; // until all cards are there, and each has its width
  const mark = () => (best === null ? [] : [[best, "best"]]);
  add("AP over time", evaluations, ["AP", "AP50", "AP75"], { y: [0, null], mark, withZeros: true });
  add("Pixels over time", evaluations, ["mIOU", "pixel_accuracy"], { y: [0, null], mark, withZeros: true });
  add("AP by size", evaluations, ["APs", "APm", "APl"], { y: [0, null], mark, withZeros: true });
  add("Losses", history, ["total_loss", "class_loss", "box_loss", "iou_loss", "segmentation_loss", "l2_loss"]);
  add("Learning rate", history, ["learning_rate"]);
  add("Gradient norm", history, ["gradient_norm"]);
  add("Memory at its peak until then, MiB", history, ["process_mib", "device_mib"], { y: [0, null] });
  add("Images a second", history, ["images_per_second"], { y: [0, null] });
  waiting.forEach((draw) => draw());
}

// ---- pictures of a data set, of a prediction

function showGroups(name, groups, strips) {
  const pictures = new Pictures(name, strips);
  let place = 0;
  for (const [title, shown] of groups) {
    const items = shown.map((one) => {
      const at = place++;
      const boxes = one.boxes.map(([x, y, w, h, text]) => ({ box: [x, y, w, h], text, kind: "plain" }));
      return () => ({ place: at, size: one.size, panels: [{ label: "", boxes }], title: [one.title, one.note].filter(Boolean).join(" · ") });
    });
    const card = make("div", { className: "card" }, make("h3", { textContent: `${title}: ${items.length}` }), make("div"));
    $(`#${name}-pictures`).append(card);
    gallery(card.lastChild, pictures, items);
  }
}

// ---- two runs

function showComparison({ a, b, images }) {
  const runs = [new Evaluation(a), new Evaluation(b)], pictures = new Pictures("evaluation", read("evaluation-places"));
  const find = $("#find");
  const items = images.map(({ id, at, place, errors }) => () => ({
    place, size: runs[0].images[at[0]].slice(1), title: `${id} · errors ${errors[0]} and ${errors[1]}`,
    panels: [{ label: "ground truth", boxes: runs[0].truthBoxes(at[0]) },
             { label: $("#name-a").textContent, boxes: runs[0].foundBoxes(at[0], a.best.score) },
             { label: $("#name-b").textContent, boxes: runs[1].foundBoxes(at[1], b.best.score) }] }));
  const show = () => {
    const wanted = { all: () => true, better: (e) => e[1] < e[0], worse: (e) => e[1] > e[0] }[find.value];
    gallery($("#gallery"), pictures, items.filter((_, k) => wanted(images[k].errors)));
  };
  find.onchange = show;
  show();
}

// ---- the page

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redrawCharts();
}

// While a run is watched: the page comes anew when what it is made of has changed.
async function follow(state) {
  try {
    const now = await (await fetch("state")).text();
    if (state && now !== state) return location.reload();
    state = now;
  } catch { /* the server was stopped; the page stays */ }
  setTimeout(follow, 2000, state);
}

document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
$("#theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
document.addEventListener("keydown", (event) => {
  if (event.key === "t" && !["SELECT", "INPUT"].includes(event.target.tagName)) $("#theme").click();
});
let width = innerWidth, later;
addEventListener("resize", () => {
  clearTimeout(later);
  if (innerWidth !== width) later = setTimeout(() => { width = innerWidth; redrawCharts(); }, 200);
});
const training = read("training-data"), evaluation = read("evaluation-data"), comparison = read("comparison-data");
if (training) showTraining(training);
if (evaluation) showEvaluation(evaluation, read("evaluation-places"));
if (comparison) showComparison(comparison);
for (const name of ["data", "predict"]) {
  const groups = read(`${name}-data`);
  if (groups) showGroups(name, groups, read(`${name}-places`));
}
if (document.body.dataset.watched) follow("");
document.body.dataset.ready = "yes";
