/* The explorer: one image, two panes with any network and method each. One component, two sources of what it shows:
   `Sheets` reads what a page carries, `Kernel` asks a running notebook for what it has not got. No library, no build
   step, nothing from the network. `mount` is for pages, the default export for Jupyter (anywidget). */

const LEVELS = 63; // of a map in a sheet: its ends are 0 and LEVELS
const THUMB = 44; // pixels

// Elements: functions and known properties are set as such, all else as attributes; text is never read as HTML.
const PROPERTIES = new Set(["className", "textContent", "value", "checked", "disabled", "hidden", "selected", "open"]);
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function" || PROPERTIES.has(name)) element[name] = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function picked(options, chosen, properties = {}) {
  const list = options.map(([id, label, disabled]) =>
    h("option", { value: id, selected: id === chosen, disabled: !!disabled }, label));
  return h("select", properties, ...list);
}

const number = (value) => (Math.abs(value) >= 1e-3 || value === 0 ? value.toFixed(3) : value.toExponential(1));
const percent = (share) => `${Math.round(100 * share)} %`;

// ---------------------------------------------------------------------------------------------------------------- sources

/* What a page carries: sheets of pictures and maps, decoded when they are first shown. */
class Sheets {
  constructor(facts) {
    this.facts = facts;
    this.decoded = new Map();
    this.records = new Map();
  }

  async load(uri) {
    if (this.decoded.has(uri)) return;
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = h("canvas", { width: image.width, height: image.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    this.decoded.set(uri, context.getImageData(0, 0, image.width, image.height));
  }

  slice(pane) {
    return this.facts.slices[`${pane.network}/${pane.method}`];
  }

  async ready(state) {
    const { picture, mask, sheets } = this.facts;
    const found = state.panes.map((pane) => this.slice(pane)).filter(Boolean);
    await Promise.all([picture.uri, mask && mask.uri, ...found.map((one) => sheets[one.sheet])].filter(Boolean).map((uri) => this.load(uri)));
  }

  tile(uri, { width, height, columns }, index, bytes) {
    const sheet = this.decoded.get(uri);
    const found = new Uint8ClampedArray(width * height * bytes);
    const left = (index % columns) * width, top = Math.floor(index / columns) * height;
    for (let y = 0, to = 0; y < height; y++) {
      let from = 4 * ((top + y) * sheet.width + left);
      for (let x = 0; x < width; x++, from += 4) for (let c = 0; c < bytes; c++) found[to++] = sheet.data[from + c];
    }
    return found;
  }

  picture(index) {
    const { picture, mask } = this.facts;
    return {
      width: picture.width, height: picture.height,
      rgb: this.tile(picture.uri, picture, index, 3),
      mask: mask ? this.tile(mask.uri, mask, index, 1).map((value) => (value > 127 ? 1 : 0)) : null,
    };
  }

  record(state, pane) {
    const slice = this.slice(pane), i = state.image, key = `${pane.network}/${pane.method}/${i}`;
    if (!slice) return { error: this.facts.skipped[`${pane.network}/${pane.method}`] || "The study has no such maps." };
    if (!this.records.has(key)) {
      const { width, height } = slice, low = slice.low[i], high = slice.high[i];
      const levels = this.tile(this.facts.sheets[slice.sheet], slice, i, 1);
      const values = Float32Array.from(levels, (level) => low + (level / LEVELS) * (high - low));
      const scores = Object.fromEntries(Object.entries(slice.scores).map(([metric, all]) => [metric, all[i]]));
      const curves = Object.fromEntries(Object.entries(slice.curves).map(([metric, text]) => {
        const all = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), points = all.length / slice.images;
        return [metric, Array.from(all.subarray(i * points, (i + 1) * points), (value) => value / 255)];
      }));
      this.records.set(key, { width, height, values, low, high, signed: slice.signed, peak: slice.peak[i], scores, curves });
    }
    return this.records.get(key);
  }

  answers(network, index) {
    return (this.facts.answers[network] || [])[index];
  }

  ask() {}
}

/* A running kernel: whatever it has said once is kept here, by the key of the choice that it belongs to. */
class Kernel {
  constructor(model) {
    this.model = model;
    this.pictures = new Map();
    this.records = new Map();
    this.said = new Map();
    this.progress = new Map();
    this.changed = () => {};
    this.heard = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.heard);
    this.renewed = () => this.changed(true);
    Object.assign(this, { asked: "", halted: false, trouble: "" });
    model.on("change:facts", this.renewed);
  }

  get facts() {
    return this.model.get("facts");
  }

  close() {
    this.model.off("msg:custom", this.heard);
    this.model.off("change:facts", this.renewed);
  }

  async ready() {}

  key(state, pane) {
    return JSON.stringify([pane.network, pane.method, state.image, state.target, pane.options || {}]);
  }

  picture(index) {
    return this.pictures.get(index);
  }

  record(state, pane) {
    return this.records.get(this.key(state, pane));
  }

  answers(network, index) {
    return (this.said.get(network) || [])[index];
  }

  ask(state) {
    const open = state.panes.filter((pane) => !this.complete(state, pane) || !this.answers(pane.network, state.image));
    const message = {
      ask: open.map((pane) => ({
        key: this.key(state, pane), network: pane.network, method: pane.method, image: state.image,
        target: state.target, options: pane.options || {},
      })),
      picture: this.pictures.has(state.image) ? null : state.image,
      filter: state.filter === "all" ? null : state.panes[0].network,
    };
    const text = JSON.stringify(message);
    if (text === this.asked && !this.halted) return; // a slider has moved
    Object.assign(this, { asked: text, halted: false, trouble: "" });
    this.send(message);
  }

  /* Whether all is there that will come. */
  complete(state, pane) {
    const record = this.record(state, pane);
    return !!record && (!!record.error || this.facts.metrics.every((one) => one.id in record.scores));
  }

  send(message, buffers = []) {
    this.model.send(message, undefined, buffers);
  }

  receive(message, buffers) {
    const bytes = (i) => new Uint8Array(buffers[i].buffer, buffers[i].byteOffset, buffers[i].byteLength).slice();
    const { is, key } = message;
    if (is === "picture") {
      const mask = message.masked ? bytes(1) : null;
      this.pictures.set(message.image, { width: message.width, height: message.height, rgb: bytes(0), mask });
    } else if (is === "map") {
      this.records.set(key, { ...message, values: new Float32Array(bytes(0).buffer), scores: {}, curves: {} });
      this.progress.delete(key);
    } else if (is === "score" && this.records.has(key)) {
      const record = this.records.get(key);
      record.scores[message.metric] = message.value;
      if (message.curve) record.curves[message.metric] = message.curve;
    } else if (is === "answers") {
      const known = this.said.get(message.network) || [];
      for (const [index, answer] of Object.entries(message.answers)) known[index] = answer;
      this.said.set(message.network, known);
    } else if (is === "error") {
      if (key) this.records.set(key, { error: message.text });
      this.trouble = key ? "" : message.text;
    } else if (is === "progress") {
      this.progress.set(key, message);
    } else if (is === "stopped") {
      this.progress.clear();
      this.halted = true;
    }
    this.changed(is === "added", message);
  }
}

// ---------------------------------------------------------------------------------------------------------------- pictures

/* Fill a canvas with `width` x `height` pixels, each as a block, so that lines drawn over it are finer than they. */
function paint(canvas, width, height, colour) {
  const small = h("canvas", { width, height }), context = small.getContext("2d");
  const data = context.createImageData(width, height);
  for (let i = 0, to = 0; i < width * height; i++, to += 4) {
    colour(i, data.data, to);
    data.data[to + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  const scale = Math.max(1, Math.round(448 / width));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const shown = canvas.getContext("2d");
  shown.imageSmoothingEnabled = false;
  shown.drawImage(small, 0, 0, canvas.width, canvas.height);
  return scale;
}

/* White lines with a dark rim are seen on any colour. */
function stroke(canvas, path, width = 2) {
  const context = canvas.getContext("2d");
  for (const [colour, line] of [["rgba(0,0,0,.75)", width + 2], ["#fff", width]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.stroke(path);
  }
}

/* The edges between the object's pixels and others, those of the picture itself left out. */
function outline(mask, width, height, sx, sy) {
  const path = new Path2D();
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const here = mask[y * width + x];
    if (x + 1 < width && here !== mask[y * width + x + 1]) path.moveTo((x + 1) * sx, y * sy), path.lineTo((x + 1) * sx, (y + 1) * sy);
    if (y + 1 < height && here !== mask[(y + 1) * width + x]) path.moveTo(x * sx, (y + 1) * sy), path.lineTo((x + 1) * sx, (y + 1) * sy);
  }
  return path;
}

function cross(x, y, arm) {
  const path = new Path2D();
  path.moveTo(x - arm, y), path.lineTo(x + arm, y), path.moveTo(x, y - arm), path.lineTo(x, y + arm);
  return path;
}

/* Pixels from most to least important; equal ones in an order that has nothing to do with their place. */
function order(record) {
  if (!record.order) {
    const { values } = record, mixed = (i) => Math.imul(i + 1, 0x9e3779b1) >>> 0;
    record.order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || mixed(a) - mixed(b));
  }
  return record.order;
}

/* A picture blurred as Insertion begins: 11 pixels wide, sigma 5, the network's mean colour outside. */
function blurred(picture, mean) {
  if (picture.blurred) return picture.blurred;
  const { width, height, rgb } = picture, weights = Array.from({ length: 11 }, (_, i) => Math.exp(-((i - 5) ** 2) / 50));
  const sum = weights.reduce((a, b) => a + b);
  const pass = (from, dx, dy) => {
    const to = new Float32Array(from.length);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) {
      let total = 0;
      for (let k = -5; k <= 5; k++) {
        const u = x + k * dx, v = y + k * dy, inside = u >= 0 && v >= 0 && u < width && v < height;
        total += weights[k + 5] * (inside ? from[3 * (v * width + u) + c] : 255 * mean[c]);
      }
      to[3 * (y * width + x) + c] = total / sum;
    }
    return to;
  };
  return (picture.blurred = pass(pass(rgb, 1, 0), 0, 1));
}

/* The picture with its first pixels gone (Deletion) or come (Insertion), as a function of pixel and channel. */
function removed(picture, record, game, share, mean) {
  const first = new Uint8Array(record.values.length);
  order(record).subarray(0, Math.round(share * first.length)).forEach((i) => (first[i] = 1));
  const soft = game === "insertion" ? blurred(picture, mean) : null;
  return (i, place, c) => {
    if (game === "deletion") return first[place] ? 255 * mean[c] : picture.rgb[3 * i + c];
    return first[place] ? picture.rgb[3 * i + c] : soft[3 * i + c];
  };
}

/* Draw a pane's two canvases: the map over the picture (or the picture as pixels go), and the map alone. */
function drawMaps(over, alone, picture, record, state, facts, mean) {
  const palette = facts.palettes[record.signed ? "signed" : "unsigned"], spread = record.high - record.low || 1;
  const step = (value) => Math.min(255, Math.max(0, Math.round((255 * (value - record.low)) / spread)));
  const { width, height } = picture, sx = record.width / width, sy = record.height / height;
  const place = (i) => Math.floor(Math.floor(i / width) * sy) * record.width + Math.floor((i % width) * sx);
  const away = state.share > 0 ? removed(picture, record, state.game, state.share, mean) : null;
  const scale = paint(over, width, height, (i, data, to) => {
    const p = place(i), level = step(record.values[p]), colour = palette[level];
    const strength = record.signed ? Math.abs(level - 127.5) / 127.5 : level / 255;
    const t = away ? 0 : state.opacity * Math.min(1, 1.25 * strength);
    for (let c = 0; c < 3; c++) data[to + c] = (1 - t) * (away ? away(i, p, c) : picture.rgb[3 * i + c]) + t * colour[c];
  });
  const zoom = paint(alone, record.width, record.height, (i, data, to) => {
    const colour = palette[step(record.values[i])];
    for (let c = 0; c < 3; c++) data[to + c] = colour[c];
  });
  const edge = state.outline && picture.mask && picture.mask.includes(1) ? picture.mask : null;
  if (edge) {
    stroke(over, outline(edge, width, height, scale, scale));
    stroke(alone, outline(edge, width, height, alone.width / width, alone.height / height));
  }
  const x = (record.peak % record.width) + 0.5, y = Math.floor(record.peak / record.width) + 0.5;
  stroke(alone, cross(x * zoom, y * zoom, 12), 3);
  stroke(over, cross((x / sx) * scale, (y / sy) * scale, 12), 3);
}

/* A file of NumPy: float32 `(height, width)`. */
function npy(record) {
  const shape = `{'descr': '<f4', 'fortran_order': False, 'shape': (${record.height}, ${record.width}), }`;
  const head = `\x93NUMPY\x01\x00v\x00${shape.padEnd(117)}\n`;
  return new Blob([Uint8Array.from(head, (letter) => letter.charCodeAt(0)), record.values]);
}

function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ------------------------------------------------------------------------------------------------------------------- view

class View {
  constructor(root, source, state, remember) {
    Object.assign(this, { root, source, remember, token: 0 });
    const { start, networks } = source.facts;
    this.state = { image: 0, target: "", opacity: 0.6, outline: true, game: "deletion", share: 0, filter: "all", ...start, ...state };
    this.live = !!source.facts.live;
    root.classList.toggle("xai-live", this.live);
    source.changed = (renewed, message) => this.arrived(renewed, message);
    root.classList.add("xai");
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Explorer of maps");
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys
    for (const kind of ["keydown", "keypress", "keyup"]) root.addEventListener(kind, (event) => this.key(kind, event));
    if (!networks.length) throw new Error("no networks");
    this.build();
    this.update();
  }

  get facts() {
    return this.source.facts;
  }

  network(id) {
    return this.facts.networks.find((one) => one.id === id) || this.facts.networks[0];
  }

  method(id) {
    return this.facts.methods.find((one) => one.id === id) || this.facts.methods[0];
  }

  // ---- building

  build() {
    this.what = h("p", { className: "xai-what", "aria-live": "polite" });
    this.strip = h("div", { className: "xai-strip", role: "listbox", "aria-label": "Images" });
    this.panes = this.state.panes.map((pane, k) => this.buildPane(pane, k));
    this.root.replaceChildren(
      this.what, this.strip, this.buildTools(), ...(this.live ? [this.buildLive()] : []),
      h("div", { className: "xai-pair" }, ...this.panes.map((pane) => pane.box)),
      h("p", { className: "xai-note" }, this.facts.note || "",
        " Keys: \u2190 \u2192 image, m method of both, n network of A, s swap, o outline. The cross is the map's maximum."),
    );
    this.buildStrip();
  }

  buildStrip() {
    const { images, thumbs } = this.facts;
    this.strip.style.setProperty("--sheet", `url("${thumbs.uri}")`);
    const rows = Math.ceil(images.length / thumbs.columns);
    this.thumbs = images.map((image, i) => {
      const picture = h("span", { className: "xai-thumb-picture" });
      picture.style.backgroundSize = `${thumbs.columns * THUMB}px ${rows * THUMB}px`;
      picture.style.backgroundPosition = `-${(i % thumbs.columns) * THUMB}px -${Math.floor(i / thumbs.columns) * THUMB}px`;
      const label = image.label || image.id;
      return h("button", {
        type: "button", className: "xai-thumb", role: "option", title: `${label} (${image.id})`,
        "aria-label": `Image ${i + 1}, ${label}`, onclick: () => this.set({ image: i }),
      }, picture, h("span", { className: "xai-thumb-label" }, label));
    });
    this.strip.replaceChildren(...this.thumbs);
  }

  buildTools() {
    const on = (name, read) => (event) => this.set({ [name]: read(event.target) });
    this.edge = h("input", { type: "checkbox", checked: this.state.outline, onchange: on("outline", (e) => e.checked) });
    this.share = h("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: this.state.share, "aria-label": "Share of the pixels",
      oninput: on("share", (e) => +e.value),
    });
    this.shareText = h("output", { className: "xai-number" });
    const filters = [["all", "all images"], ["right", "those A gets right"], ["wrong", "those A gets wrong"]];
    return h("div", { className: "xai-tools" },
      h("label", {}, "Map over image ", h("input", {
        type: "range", min: 0, max: 1, step: 0.02, value: this.state.opacity, oninput: on("opacity", (e) => +e.value),
      })),
      this.facts.masked ? h("label", {}, this.edge, " outline of the object") : null,
      h("label", {}, picked([["deletion", "Pixels go"], ["insertion", "Pixels come"]], this.state.game,
        { onchange: on("game", (e) => e.value), "aria-label": "Most important pixels first" }), " ", this.share, this.shareText),
      this.facts.judged ? h("label", {}, "Show ", picked(filters, this.state.filter, { onchange: on("filter", (e) => e.value) })) : null,
      h("button", { type: "button", onclick: () => this.swap() }, "swap A and B"));
  }

  /* What only a kernel can do: another class, pictures of one's own. */
  buildLive() {
    const list = h("datalist", { id: `xai-classes-${Math.random().toString(36).slice(2)}` },
      ...this.facts.classes.slice(0, 1000).map((name) => h("option", { value: name })));
    this.target = h("input", {
      list: list.id, value: this.state.target, placeholder: this.facts.usual, "aria-label": "Class explained",
      onchange: (event) => this.set({ target: event.target.value.trim() }),
    });
    this.chips = h("span", { className: "xai-chips" });
    const path = h("input", { placeholder: "path of a picture or folder", "aria-label": "Path of a picture or folder",
      onchange: (event) => this.source.send({ path: event.target.value }) });
    const file = h("input", { type: "file", multiple: "", accept: "image/*", "aria-label": "Upload pictures",
      onchange: (event) => this.upload([...event.target.files]) });
    this.trouble = h("p", { className: "xai-trouble", role: "alert", hidden: true });
    return h("div", {},
      h("div", { className: "xai-tools" }, h("label", {}, "Explain class ", this.target), list, this.chips,
        h("details", {}, h("summary", {}, "pictures of your own"), h("div", { className: "xai-tools" }, path, file))),
      this.trouble);
  }

  async upload(files) {
    const buffers = await Promise.all(files.map((file) => file.arrayBuffer()));
    this.source.send({ upload: files.map((file) => file.name) }, buffers);
  }

  buildPane(pane, k) {
    const letter = "AB"[k];
    const parts = {
      title: h("h3", {}),
      over: h("canvas", { role: "img" }),
      alone: h("canvas", { role: "img" }),
      status: h("p", { className: "xai-status", role: "status", hidden: !this.live }),
      bar: h("div", { className: "xai-bar" }),
      low: h("span", {}), high: h("span", {}),
      says: h("p", { className: "xai-says" }),
      scores: h("table", { className: "xai-scores" }),
      curves: h("div", { className: "xai-curves" }),
      choices: h("div", { className: "xai-tools" }),
      options: h("details", { hidden: true }),
    };
    const pictures = h("div", { className: "xai-pictures" }, parts.over, parts.alone);
    parts.colours = h("div", { className: "xai-colours" }, parts.low, parts.bar, parts.high);
    const saving = h("div", { className: "xai-tools" },
      h("button", { type: "button", onclick: () => this.savePicture(k) }, "save picture"),
      h("button", { type: "button", onclick: () => this.saveMap(k) }, "save map (.npy)"));
    parts.box = h("section", { className: "xai-pane", "aria-label": `Pane ${letter}` }, parts.choices, parts.options,
      h("div", { className: "xai-head" }, parts.title, parts.status), pictures, parts.colours, parts.says, parts.scores, parts.curves, saving);
    parts.choose = () => this.choosers(parts, k);
    return parts;
  }

  choosers(parts, k) {
    const pane = this.state.panes[k], { networks, methods, skipped } = this.facts;
    const change = (key) => (event) => this.setPane(k, { [key]: event.target.value, options: {} });
    parts.choices.replaceChildren(
      h("label", {}, h("b", {}, `${"AB"[k]} `), picked(networks.map((one) => [one.id, one.label]), pane.network,
        { onchange: change("network"), "aria-label": `Network of pane ${"AB"[k]}` })),
      picked(methods.map((one) => [one.id, one.label, skipped[`${pane.network}/${one.id}`]]), pane.method,
        { onchange: change("method"), "aria-label": `Method of pane ${"AB"[k]}` }));
    const usual = this.live ? this.method(pane.method).options || {} : {};
    parts.options.hidden = !Object.keys(usual).length;
    parts.options.replaceChildren(h("summary", {}, "options of the method"), h("div", { className: "xai-options" },
      ...Object.entries(usual).map(([name, value]) => h("label", {}, name, h("input", {
        value: JSON.stringify((pane.options || {})[name] ?? value), size: 8,
        onchange: (event) => this.setOption(k, name, value, event.target),
      })))));
  }

  setOption(k, name, usual, input) {
    let value = input.value;
    try {
      value = JSON.parse(input.value);
    } catch { /* a word without quotes is text */ }
    const options = { ...this.state.panes[k].options, [name]: value };
    if (JSON.stringify(value) === JSON.stringify(usual)) delete options[name];
    this.setPane(k, { options });
  }

  // ---- changing

  set(changes) {
    this.state = { ...this.state, ...changes };
    this.remember(this.state);
    this.update();
  }

  setPane(k, changes) {
    this.set({ panes: this.state.panes.map((pane, i) => (i === k ? { ...pane, ...changes } : pane)) });
  }

  swap() {
    this.set({ panes: [...this.state.panes].reverse() });
  }

  move(by) {
    const shown = this.shown(), { image } = this.state; // which need not be among those shown
    const next = by > 0 ? shown.find((i) => i > image) ?? shown[0] : shown.findLast((i) => i < image) ?? shown.at(-1);
    if (next !== undefined) this.set({ image: next });
  }

  next(list, id) {
    return list[(list.findIndex((one) => one.id === id) + 1) % list.length].id;
  }

  key(kind, event) {
    event.stopPropagation(); // nothing typed here is a command of the notebook
    if (kind !== "keydown" || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { panes } = this.state, { methods, networks } = this.facts;
    const method = () => this.next(methods, panes[0].method);
    const actions = {
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      m: () => this.set({ panes: panes.map((pane) => ({ ...pane, method: method(), options: {} })) }),
      n: () => this.setPane(0, { network: this.next(networks, panes[0].network), options: {} }),
      s: () => this.swap(),
      o: () => this.set({ outline: (this.edge.checked = !this.state.outline) }),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  /* Something has come from the kernel: it is drawn if it belongs to what is chosen now. */
  arrived(renewed, message = {}) {
    if (renewed) {
      if (message.first !== undefined) this.state = { ...this.state, image: message.first };
      this.buildStrip();
      return this.update();
    }
    this.draw();
  }

  shown() {
    return this.facts.images.map((_, i) => i).filter((i) => {
      if (this.state.filter === "all") return true;
      const answer = this.source.answers(this.state.panes[0].network, i);
      return !!answer && answer.right === (this.state.filter === "right");
    });
  }

  async update() {
    const token = ++this.token, began = performance.now();
    await this.source.ready(this.state);
    if (token !== this.token) return; // a newer choice is being drawn
    this.draw();
    this.root.dataset.ms = (performance.now() - began).toFixed(1);
    this.source.ask(this.state);
  }

  /* Leave a picture of both panes with the notebook, once they have stood still for a moment. */
  keepStill() {
    const chosen = JSON.stringify([this.state, this.state.panes.map((pane) => this.source.complete(this.state, pane))]);
    if (chosen === this.kept || !this.state.panes.every((pane) => this.source.complete(this.state, pane))) return;
    this.kept = chosen;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const parts = [0, 1].map((k) => this.composed(k)), width = parts[0].width + parts[1].width + 16;
      const scale = Math.min(1, 1100 / width), height = Math.max(...parts.map((one) => one.height));
      const canvas = h("canvas", { width: Math.round(scale * width), height: Math.round(scale * height) });
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.scale(scale, scale);
      context.drawImage(parts[0], 0, 0);
      context.drawImage(parts[1], parts[0].width + 16, 0);
      const caption = `${this.what.textContent}; ${this.title(0)}; ${this.title(1)}`;
      this.source.send({ still: canvas.toDataURL("image/jpeg", 0.9).split(",")[1], caption });
    }, 1500);
  }

  // ---- drawing

  draw() {
    const { images } = this.facts, { image, filter } = this.state, shown = this.shown();
    const label = images[image].label ? `${images[image].label} (${images[image].id})` : images[image].id;
    this.what.textContent = `Image ${image + 1} of ${images.length}: ${label}`;
    if (filter !== "all") this.what.textContent += ` \u2013 ${shown.length} that ${this.network(this.state.panes[0].network).label} gets ${filter}`;
    this.thumbs.forEach((thumb, i) => {
      thumb.setAttribute("aria-selected", i === image);
      thumb.hidden = !shown.includes(i);
    });
    const { offsetLeft, offsetTop } = this.thumbs[image], { clientWidth, clientHeight } = this.strip;
    if (this.at !== image) this.strip.scrollTo(offsetLeft - clientWidth / 2, offsetTop - clientHeight / 2), (this.at = image);
    this.shareText.textContent = this.state.share ? ` ${percent(this.state.share)}` : " none";
    if (this.live) this.drawLive();
    this.panes.forEach((parts, k) => this.drawPane(parts, k));
    if (this.live) this.keepStill();
  }

  drawLive() {
    this.root.closest(".jp-OutputArea")?.classList.add("xai-alive"); // hides the still picture beside the panel
    this.target.value = this.state.target;
    const answer = this.source.answers(this.state.panes[0].network, this.state.image);
    const chips = answer ? answer.top.map(([name, share]) => h("button", {
      type: "button", "aria-pressed": name === this.state.target, onclick: () => this.set({ target: name }),
    }, `${name} ${percent(share)}`)) : [];
    if (this.state.target) chips.push(h("button", { type: "button", onclick: () => this.set({ target: "" }) }, this.facts.usual));
    this.chips.replaceChildren(...chips);
    this.trouble.textContent = this.source.trouble || "";
    this.trouble.hidden = !this.source.trouble;
  }

  title(k) {
    const pane = this.state.panes[k], record = this.source.record(this.state, pane) || {};
    const target = record.target ? ` \u00b7 class ${record.target}` : "";
    return `${this.network(pane.network).label} \u00b7 ${this.method(pane.method).label}${target}`;
  }

  drawPane(parts, k) {
    const pane = this.state.panes[k], { source, state, facts } = this;
    const choice = JSON.stringify([pane, Object.keys(facts.skipped).length]);
    if (parts.choice !== choice) parts.choose(), (parts.choice = choice);
    parts.title.textContent = this.title(k);
    const picture = source.picture(state.image), record = source.record(state, pane);
    const there = !!(picture && record && !record.error);
    const network = this.network(pane.network);
    parts.box.classList.toggle("xai-waiting", !there);
    if (there) drawMaps(parts.over, parts.alone, picture, record, state, facts, network.mean);
    else if (picture) {
      // The picture alone: an old map under a new choice would be a lie.
      paint(parts.over, picture.width, picture.height, (i, data, to) => {
        for (let c = 0; c < 3; c++) data[to + c] = picture.rgb[3 * i + c];
      });
      parts.alone.width = parts.over.width, parts.alone.height = parts.over.height;
    }
    const { label, id } = facts.images[state.image];
    parts.over.setAttribute("aria-label", `${this.title(k)} over ${label || id}`);
    parts.alone.setAttribute("aria-label", there ? `Map of ${this.title(k)}` : "No map yet");
    this.drawStatus(parts, k, there, record);
    this.drawColours(parts, there ? record : null);
    this.drawAnswer(parts, pane);
    this.drawScores(parts, there ? record : null);
    this.drawCurves(parts, there ? record : null);
  }

  drawStatus(parts, k, there, record) {
    const error = record && record.error, { source, state } = this;
    parts.box.classList.toggle("xai-failed", !!error);
    parts.status.hidden = !error && !this.live;
    if (error) return parts.status.replaceChildren(error);
    if (!this.live) return;
    const key = source.key(state, state.panes[k]), running = source.progress.get(key);
    if (there && source.complete(state, state.panes[k])) return parts.status.replaceChildren(record.from ? "from the study's files" : `${record.seconds.toFixed(1)} s`);
    if (source.halted && !running) return parts.status.replaceChildren("stopped ", this.button("go on", () => this.update()));
    const doing = there ? "scoring" : "explaining";
    const done = running ? `: ${running.passes} passes, ${running.seconds.toFixed(1)} s ` : " \u2026 ";
    parts.status.replaceChildren(h("span", { className: "xai-spin", "aria-hidden": "true" }), doing + done,
      this.button("stop", () => source.send({ stop: true })));
  }

  button(text, onclick) {
    return h("button", { type: "button", onclick }, text);
  }

  drawColours(parts, record) {
    parts.colours.style.visibility = record ? "visible" : "hidden";
    if (!record) return;
    const palette = this.facts.palettes[record.signed ? "signed" : "unsigned"];
    const stops = Array.from({ length: 17 }, (_, i) => `rgb(${palette[Math.min(255, i * 16)].join(" ")})`);
    parts.bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    parts.low.textContent = number(record.low);
    parts.high.textContent = number(record.high);
  }

  drawAnswer(parts, pane) {
    const answer = this.source.answers(pane.network, this.state.image);
    if (!answer) return parts.says.replaceChildren("\u00a0");
    const [name, share] = answer.top[0], mark = answer.right === null || answer.right === undefined ? "" : answer.right ? " \u2713 right" : " \u2717 wrong";
    parts.says.replaceChildren("The network says ", h("b", {}, name), ` (${percent(share)})${mark}`);
  }

  drawScores(parts, record) {
    const rows = this.facts.metrics.map((metric) => {
      const value = record ? record.scores[metric.id] : undefined, known = value !== null && value !== undefined;
      const ends = metric.low !== null && metric.high !== null; // a range without an end has no bar
      const width = known && ends ? Math.max(0, Math.min(1, (value - metric.low) / (metric.high - metric.low))) : 0;
      const bar = h("i", {});
      bar.style.width = `${100 * width}%`;
      const text = known ? number(value) : value === null ? "\u2013" : "";
      return h("tr", {}, h("th", { scope: "row" }, `${metric.label} ${metric.better === "higher" ? "\u2191" : "\u2193"}`),
        h("td", { className: "xai-number" }, text), h("td", {}, h("div", { className: "xai-score" }, bar)));
    });
    parts.scores.replaceChildren(h("tbody", {}, ...rows));
  }

  drawCurves(parts, record) {
    const found = record ? Object.entries(record.curves) : [];
    parts.curves.hidden = !found.length;
    if (!found.length) return;
    const lines = found.map(([metric, curve], k) => {
      const points = curve.map((y, i) => `${((200 * i) / (curve.length - 1)).toFixed(1)},${(60 * (1 - y)).toFixed(1)}`).join(" ");
      return `<polyline class="xai-line${k}" points="${points}"/>`;
    });
    const x = 200 * this.state.share;
    const names = found.map(([metric]) => (this.facts.metrics.find((one) => one.id === metric) || { label: metric }).label);
    parts.curves.innerHTML = `<svg viewBox="0 -1 200 62" preserveAspectRatio="none" role="img">${lines.join("")}<line x1="${x}" x2="${x}" y1="0" y2="60"/></svg>`;
    parts.curves.firstChild.setAttribute("aria-label", `Probability of the class while pixels change: ${names.join(" and ")}`);
    const share = (curve) => curve[Math.round(this.state.share * (curve.length - 1))];
    parts.curves.append(h("p", { className: "xai-legend" }, ...found.map(([, curve], k) =>
      h("span", { className: `xai-key${k}` }, `${names[k]} ${percent(share(curve))}`))));
  }

  // ---- saving

  name(k) {
    const pane = this.state.panes[k];
    return [pane.network, pane.method, this.facts.images[this.state.image].id].join("_").replace(/[^\w.-]+/g, "-");
  }

  /* Both canvases of a pane below a line that says what they are. */
  composed(k) {
    const { over, alone } = this.panes[k], gap = 8, text = 28;
    const canvas = h("canvas", { width: over.width + gap + alone.width, height: Math.max(over.height, alone.height) + text });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(over, 0, text);
    context.drawImage(alone, over.width + gap, text);
    context.fillStyle = "#111";
    context.font = "16px sans-serif";
    context.fillText(`${this.title(k)} \u00b7 ${this.facts.images[this.state.image].id}`, 6, 19, canvas.width - 12);
    return canvas;
  }

  savePicture(k) {
    this.composed(k).toBlob((blob) => save(blob, `${this.name(k)}.png`));
  }

  saveMap(k) {
    const record = this.source.record(this.state, this.state.panes[k]);
    if (record && !record.error) save(npy(record), `${this.name(k)}.npy`);
  }
}

/* Show the facts of a page in an element. */
export function mount(root, facts) {
  return new View(root, new Sheets(facts), {}, () => {});
}

function render({ model, el }) {
  const source = new Kernel(model), root = h("div");
  el.append(root);
  const remember = (state) => {
    model.set("state", state);
    model.save_changes();
  };
  new View(root, source, model.get("state"), remember);
  return () => source.close();
}

export default { render };
