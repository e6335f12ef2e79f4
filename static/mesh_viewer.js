// The head in the browser: shaped, lit and turned here, so that a slider needs no answer from the server.
const root = element.querySelector(".mesh-viewer");
const stage = element.querySelector(".mesh-stage");
const canvas = element.querySelector("canvas.mesh-canvas");
const photo = element.querySelector(".mesh-photo");
const say = element.querySelector(".mesh-say");
const controls = element.querySelector(".mesh-controls");
const PRESETS = JSON.parse(element.querySelector("[data-presets]").dataset.presets);
const NAMES = JSON.parse(element.querySelector("[data-names]").dataset.names);

let head = null; // what all faces share
let face = null; // what `value` says
let still = null; // (V * 3) the face with every action at rest
let places = null; // (V * 3) as it is drawn
let normals = null;
let expression = new Float32Array(52);
let mirror = []; // row of each action's partner
let view = { yaw: 0, pitch: 0, zoom: 1, x: 0, y: 0 };
let look = "texture"; // texture, shaded or wire
let isOver = false; // laid over the photo
let opacity = 0.85;
let hasEyes = true;
let isWhole = true;
let asked = false;
let frames = [];

// ---- reading what the server sends ----

function bytes(text) {
  const raw = atob(text);
  const result = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) result[place] = raw.charCodeAt(place);
  return result.buffer;
}

// One copy for the page, however often a viewer is made anew.
function loadHead() {
  window.mien.head ??= server.mesh_head({}).then((text) => unpacked(JSON.parse(text)))
    .catch((error) => { window.mien.head = undefined; throw error; });
  return window.mien.head;
}

function unpacked(message) {
  return {
    ...message,
    faces: new Uint16Array(bytes(message.faces)),
    uvs: new Uint16Array(bytes(message.uvs)),
    colours: new Uint8Array(bytes(message.colours)),
    shapes: message.shapes.map(({ rows, moves, scale }) => ({
      rows: new Uint16Array(bytes(rows)),
      moves: Float32Array.from(new Int16Array(bytes(moves)), (value) => value * scale),
    })),
  };
}

// A head that comes as it is, without anything to move it by.
function bakedHead({ vertices, faces }, shared) {
  const triangles = new Uint16Array(bytes(faces));
  const colours = new Uint8Array(vertices * 3);
  for (let at = 0; at < colours.length; at += 3) colours.set([214, 176, 156], at);
  const still = { rows: new Uint16Array(0), moves: new Float32Array(0) };
  return {
    vertices, faces: triangles, colours, uvs: new Uint16Array(vertices * 2), counts: [triangles.length, 0, 0],
    shapes: Array.from({ length: 52 }, () => still), mirrored: shared.mirrored, reach: shared.reach,
  };
}

function readFace(text) {
  const message = JSON.parse(text);
  const neutral = Float32Array.from(new Int16Array(bytes(message.neutral)), (value) => (value / 32767) * head.reach);
  return { ...message, neutral };
}

// ---- shaping ----

function shape() {
  places.set(still);
  for (let row = 0; row < 52; row += 1) {
    const value = expression[row];
    if (Math.abs(value) < 1e-4) continue;
    const { rows, moves } = head.shapes[row];
    for (let at = 0; at < rows.length; at += 1) {
      const to = rows[at] * 3;
      const from = at * 3;
      places[to] += value * moves[from];
      places[to + 1] += value * moves[from + 1];
      places[to + 2] += value * moves[from + 2];
    }
  }
  turnNormals();
}

function turnNormals() {
  const { faces } = head;
  normals.fill(0);
  for (let at = 0; at < faces.length; at += 3) {
    const [a, b, c] = [faces[at] * 3, faces[at + 1] * 3, faces[at + 2] * 3];
    const ux = places[b] - places[a];
    const uy = places[b + 1] - places[a + 1];
    const uz = places[b + 2] - places[a + 2];
    const vx = places[c] - places[a];
    const vy = places[c + 1] - places[a + 1];
    const vz = places[c + 2] - places[a + 2];
    const x = uy * vz - uz * vy;
    const y = uz * vx - ux * vz;
    const z = ux * vy - uy * vx;
    normals[a] += x; normals[a + 1] += y; normals[a + 2] += z;
    normals[b] += x; normals[b + 1] += y; normals[b + 2] += z;
    normals[c] += x; normals[c + 1] += y; normals[c + 2] += z;
  }
}

// ---- where the viewer stands ----

// The rotation as three columns and where the origin lies, all in units of half the stage's edge.
function camera() {
  if (isOver) {
    const [a, b, c, d, e, f, g, h, i] = face.rotation;
    return { turn: [a, d, g, b, e, h, c, f, i], scale: face.scale * 2, x: face.shift[0] * 2 - 1, y: 1 - face.shift[1] * 2 };
  }
  const [sy, cy, sp, cp] = [Math.sin(view.yaw), Math.cos(view.yaw), Math.sin(view.pitch), Math.cos(view.pitch)];
  const turn = [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy];
  const scale = 6.1 * view.zoom;
  const middle = [0, -0.012, -0.07];
  const shift = [0, 1].map((row) => -scale * (turn[row] * middle[0] + turn[3 + row] * middle[1] + turn[6 + row] * middle[2]));
  return { turn, scale, x: shift[0] + view.x, y: shift[1] + view.y };
}

function redraw({ reshape = false } = {}) {
  if (!face) return;
  stale ||= reshape;
  if (asked) return;
  asked = true;
  window.requestAnimationFrame((now) => {
    asked = false;
    if (stale) shape();
    keepPace(now);
    paint(stale);
    stale = false;
    settle();
    frames = [...frames.filter((time) => now - time < 1000), now];
    root.dataset.frames = frames.length; // drawn within the last second
  });
}
let stale = false;

// ---- moving from one expression to another ----

let going = 0;
function go(target, { jump = false } = {}) {
  const start = Float32Array.from(expression);
  const calm = jump || window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const begun = performance.now();
  going += 1;
  const mine = going;
  const step = (now) => {
    if (mine !== going) return;
    const share = calm ? 1 : Math.min((now - begun) / 180, 1);
    const eased = share * share * (3 - 2 * share);
    for (let row = 0; row < 52; row += 1) expression[row] = start[row] + (target[row] - start[row]) * eased;
    showSliders();
    redraw({ reshape: true });
    if (share < 1) window.requestAnimationFrame(step);
  };
  step(calm ? begun : performance.now());
}

function fromNames(actions) {
  const result = new Float32Array(52);
  for (const [name, value] of Object.entries(actions)) result[NAMES.indexOf(name)] = value;
  return result;
}
