// Part of the viewer: fingers, mouse, keys, sliders and buttons, and what the server sends.

function showSliders() {
  for (const slider of element.querySelectorAll("input[data-row]")) {
    const value = expression[Number(slider.dataset.row)];
    slider.value = value;
    slider.nextElementSibling.textContent = value.toFixed(2);
  }
}

function showOver() {
  root.classList.toggle("over", isOver && Boolean(face));
  photo.style.opacity = isOver ? 1 : 0;
  canvas.style.opacity = isOver ? opacity : 1;
  for (const button of element.querySelectorAll("[data-place]")) {
    button.setAttribute("aria-pressed", String((button.dataset.place === "over") === isOver));
  }
  element.querySelector(".mesh-opacity").hidden = !isOver;
  redraw();
}

function lookAt(yaw, pitch = 0) {
  isOver = false;
  view = { yaw: (yaw * Math.PI) / 180, pitch: (pitch * Math.PI) / 180, zoom: 1, x: 0, y: 0 };
  showOver();
}

function turn(right, down) {
  if (isOver) lookAt(0);
  view.yaw += right;
  view.pitch = Math.min(Math.max(view.pitch + down, -1.4), 1.4);
  redraw();
}

function zoom(factor) {
  if (isOver) return;
  view.zoom = Math.min(Math.max(view.zoom * factor, 0.5), 6);
  redraw();
}

// ---- turning with a finger or the mouse, moving and zooming with two fingers ----

const held = new Map();
function apart() {
  const [one, other] = [...held.values()];
  return Math.hypot(one.x - other.x, one.y - other.y);
}
stage.addEventListener("pointerdown", (event) => {
  if (!face || event.target.closest("button")) return;
  stage.setPointerCapture(event.pointerId);
  held.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
stage.addEventListener("pointermove", (event) => {
  const before = held.get(event.pointerId);
  if (!before) return;
  const [right, down] = [event.clientX - before.x, event.clientY - before.y];
  const gap = held.size === 2 ? apart() : 0;
  held.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const unit = 2 / Math.max(stage.clientWidth, 1);
  if (held.size === 2) {
    zoom(apart() / Math.max(gap, 1));
    view.x += right * unit * 0.5;
    view.y -= down * unit * 0.5;
    redraw();
  } else if (event.shiftKey || event.buttons === 2) {
    view.x += right * unit;
    view.y -= down * unit;
    redraw();
  } else {
    turn(right * 0.009, down * 0.009);
  }
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => held.delete(event.pointerId));
stage.addEventListener("contextmenu", (event) => event.preventDefault());
stage.addEventListener("wheel", (event) => {
  if (!face || isOver) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * 0.0012));
}, { passive: false });
stage.addEventListener("keydown", (event) => {
  const keys = {
    ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, -0.1), ArrowDown: () => turn(0, 0.1),
    "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), 0: () => lookAt(0),
  };
  if (!face || !keys[event.key] || event.target !== stage) return;
  event.preventDefault();
  keys[event.key]();
});

// ---- sliders and buttons ----

element.addEventListener("input", (event) => {
  const slider = event.target;
  if (!face) return;
  if (slider.dataset.row) {
    going += 1;
    const row = Number(slider.dataset.row);
    expression[row] = Number(slider.value);
    if (element.querySelector(".mesh-both").checked) expression[mirror[row]] = expression[row];
    showSliders();
    redraw({ reshape: true });
  } else if (slider.matches(".mesh-opacity input")) {
    opacity = Number(slider.value);
    showOver();
  } else if (slider.matches(".mesh-strength input")) {
    going += 1;
    const factor = Number(slider.value);
    slider.nextElementSibling.textContent = `×${factor.toFixed(2)}`;
    expression = base.map((value) => Math.min(value * factor, 1.6));
    showSliders();
    redraw({ reshape: true });
  } else if (slider.matches(".mesh-blend input")) {
    going += 1;
    const share = Number(slider.value);
    slider.nextElementSibling.textContent = `${Math.round(share * 100)} %`;
    expression = base.map((value, row) => value + ((goal?.[row] ?? value) - value) * share);
    showSliders();
    redraw({ reshape: true });
  }
});

let base = new Float32Array(52); // what strength and blend start from
let goal = null; // whose expression is blended in
function begin(target, { blend = null } = {}) {
  base = Float32Array.from(blend ? expression : target);
  goal = blend;
  const strength = element.querySelector(".mesh-strength input");
  strength.value = 1;
  strength.nextElementSibling.textContent = "×1.00";
  const slide = element.querySelector(".mesh-blend");
  slide.hidden = !blend;
  if (blend) {
    slide.querySelector("input").value = 1;
    slide.querySelector("output").textContent = "100 %";
  }
  go(blend ?? target);
}

const ACTS = {
  place: (name) => { if (name === "over") { isOver = true; showOver(); } else { lookAt(0); } },
  look: (name) => {
    look = name;
    for (const button of element.querySelectorAll("[data-look]")) button.setAttribute("aria-pressed", String(button.dataset.look === name));
    redraw();
  },
  turn: (degrees) => lookAt(Number(degrees)),
  preset: (name) => begin(name === "photo" ? face.expression : fromNames(PRESETS[name])),
  mirror: () => begin(Float32Array.from(expression, (_, row) => expression[mirror[row]])),
  other: (at) => begin(null, { blend: at === "borrowed" ? lent.expression : face.others[Number(at)].expression }),
  show: (name, button) => {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isShown));
    if (name === "eyes") hasEyes = isShown; else isWhole = isShown;
    redraw();
  },
  kind: (kind) => order(kind),
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !face) return;
  for (const [name, act] of Object.entries(ACTS)) if (button.dataset[name] !== undefined) act(button.dataset[name], button);
});

// The server is told the expression and the view with the wish for a file; nothing is sent while sliders move.
function order(kind) {
  if (kind === "view") {
    paint(false, { toKeep: true }); // what was drawn before this moment is the browser's no more
    window.mien.save("face-view.png", canvas.toDataURL("image/png"));
    return;
  }
  say.textContent = "Making the file";
  const degrees = (radians) => (radians * 180) / Math.PI;
  trigger("save", {
    kind, key: face.key, expression: Array.from(expression, (value) => Math.round(value * 1e4) / 1e4),
    yaw: degrees(view.yaw), pitch: degrees(view.pitch), look, eyes: hasEyes,
  });
}

// ---- what the server sends ----

function chips() {
  const holder = element.querySelector(".mesh-others");
  const faces = (face?.others ?? []).map((other, at) => [other.name, String(at)]);
  if (lent) faces.push([lent.name, "borrowed"]);
  holder.hidden = !faces.length;
  holder.querySelector("div").replaceChildren(...faces.map(([name, at]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet-button";
    button.dataset.other = at;
    button.textContent = name;
    return button;
  }));
}

let lent = null;
async function takeFace() {
  if (!props.value) { face = null; root.hidden = true; return; }
  root.hidden = false;
  say.textContent = head ? "" : "Fetching the head";
  const { baked, own } = JSON.parse(props.value);
  try {
    const shared = await loadHead();
    head = own ? unpacked(own) : baked ? bakedHead(baked, shared) : shared;
  } catch { say.textContent = "The head did not arrive. Check the connection and reload the page."; return; }
  mirror = head.mirrored;
  root.classList.toggle("baked", Boolean(baked));
  if (baked && look === "texture") ACTS.look("shaded");
  if (!baked && root.dataset.was === "baked") ACTS.look("texture");
  root.dataset.was = baked ? "baked" : "open";
  if (!gl && !root.dataset.drawn) openGl();
  if (gl && fed !== head) feedHead();
  const isNew = face?.key !== JSON.parse(props.value).key;
  face = readFace(props.value);
  still = face.neutral;
  if (places?.length !== head.vertices * 3) {
    places = new Float32Array(head.vertices * 3);
    normals = new Float32Array(head.vertices * 3);
  }
  photo.src = face.photo;
  if (face.texture) wear(face.texture);
  say.textContent = face.warning;
  if (isNew) begin(face.expression);
  chips();
  showOver();
  redraw({ reshape: true });
}

function takeLent() {
  lent = props.lent ? JSON.parse(props.lent) : null;
  chips();
  if (lent && face) begin(null, { blend: lent.expression });
}

function takeFile() {
  if (!props.file) return;
  const file = JSON.parse(props.file);
  say.textContent = file.said ?? "";
  if (file.href) window.mien.save(file.name, file.href);
  if (file.picture) {
    const shown = element.querySelector(".mesh-result");
    shown.hidden = false;
    shown.querySelector("img").src = file.href;
  }
}

// Names of properties stand without quotes here: Gradio takes every quoted word of this file for an event.
const takers = { value: takeFace, lent: takeLent, file: takeFile };
for (const name of Object.keys(takers)) watch(name, takers[name]);
new ResizeObserver(() => redraw()).observe(stage);
window.addEventListener("mien-theme", () => redraw());
takeFace();
