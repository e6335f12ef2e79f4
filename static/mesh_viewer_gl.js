// Part of the viewer: drawing with WebGL, or with a plain canvas where there is none.
const LIGHTS = [[-0.45, 0.55, 0.75, 0.5], [0.7, 0.1, 0.6, 0.2], [0, -0.5, 0.6, 0.08]];
// The head has so many corners that light is reckoned at them and not at each pixel, of which there are 50 times more.
const VERTEX = `
  attribute vec3 place; attribute vec3 normal; attribute vec2 uv; attribute vec3 colour;
  uniform mat3 turn; uniform float scale; uniform vec2 shift; uniform float lift; uniform float textured;
  varying vec2 at; varying vec3 lit;
  void main() {
    vec3 seen = turn * place;
    vec3 n = normalize(turn * normal);
    float light = 0.38;
    ${LIGHTS.map(([x, y, z, s]) => `light += ${s.toFixed(2)} * max(dot(n, normalize(vec3(${x.toFixed(2)}, ${y.toFixed(2)}, ${z.toFixed(2)}))), 0.0);`).join("\n")}
    at = vec2(uv.x, 1.0 - uv.y);
    lit = mix(colour * light, vec3(0.65 + 0.35 * light), textured);
    gl_Position = vec4(seen.xy * scale + shift, -seen.z * 2.0 - lift, 1.0);
  }`;
const CLAY = `
  precision mediump float;
  uniform float wired; uniform float alpha; uniform vec3 ink;
  varying vec2 at; varying vec3 lit;
  void main() { gl_FragColor = vec4(mix(lit, ink, wired), 1.0) * alpha; }`;
const SKIN = `
  precision mediump float;
  uniform sampler2D skin;
  varying vec2 at; varying vec3 lit;
  void main() { gl_FragColor = vec4(texture2D(skin, at).rgb * lit, 1.0); }`;

let gl = null;
let paints = {}; // the two ways to colour, each with the places of its settings
const ATTRIBUTES = ["place", "normal", "uv", "colour"];
let buffers = {};
let picture = null; // the skin's texture
let lines = [0, 0]; // ends of the front's edges and of all

function compile(kind, text) {
  const made = gl.createShader(kind);
  gl.shaderSource(made, text);
  gl.compileShader(made);
  if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
  return made;
}

function paintWith(fragment, names) {
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, fragment));
  ATTRIBUTES.forEach((name, spot) => gl.bindAttribLocation(program, spot, name)); // the same in both
  gl.linkProgram(program);
  return { program, ...Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)])) };
}

function openGl() {
  gl = canvas.getContext("webgl", { antialias: false, alpha: true, premultipliedAlpha: true });
  root.dataset.drawn = gl ? "webgl" : "canvas";
  if (!gl) return;
  const shared = ["turn", "scale", "shift", "lift", "textured"];
  paints = { clay: paintWith(CLAY, [...shared, "wired", "alpha", "ink"]), skin: paintWith(SKIN, [...shared, "skin"]) };
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.CULL_FACE);
}

let fed = null; // the head whose triangles the graphics card holds
function feedHead() {
  fed = head;
  feed("place", null, 3, gl.FLOAT, false);
  feed("normal", null, 3, gl.FLOAT, false);
  feed("uv", head.uvs, 2, gl.UNSIGNED_SHORT, true);
  feed("colour", head.colours, 3, gl.UNSIGNED_BYTE, true);
  buffers.faces = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.faces);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, head.faces, gl.STATIC_DRAW);
  const edges = edgesOf(head.faces); // in the order of the faces, so that the front's come first
  lines = [edgesOf(head.faces.subarray(0, head.counts[0] + head.counts[1])).length, edges.length];
  buffers.edges = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.edges);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, edges, gl.STATIC_DRAW);
}

function feed(name, values, size, kind, normalised) {
  const spot = ATTRIBUTES.indexOf(name);
  buffers[name] = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
  gl.bufferData(gl.ARRAY_BUFFER, values ?? head.vertices * 12, values ? gl.STATIC_DRAW : gl.DYNAMIC_DRAW);
  gl.enableVertexAttribArray(spot);
  gl.vertexAttribPointer(spot, size, kind, normalised, 0, 0);
}

function edgesOf(faces) {
  const seen = new Set();
  const found = [];
  for (let at = 0; at < faces.length; at += 3) {
    for (let side = 0; side < 3; side += 1) {
      const [one, other] = [faces[at + side], faces[at + ((side + 1) % 3)]];
      const key = Math.min(one, other) * 65536 + Math.max(one, other);
      if (!seen.has(key)) { seen.add(key); found.push(one, other); }
    }
  }
  return Uint16Array.from(found);
}

function wear(address) {
  const image = new Image();
  const wanted = face.key;
  image.onload = () => {
    if (face?.key !== wanted) return;
    if (gl) {
      picture ??= gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, picture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
      gl.generateMipmap(gl.TEXTURE_2D);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    } else {
      skinColours = coloursFrom(image);
    }
    redraw();
  };
  image.src = address;
}

// While the head moves it is drawn with one pixel for each of the page's, or fewer where that takes too long; at rest
// it is drawn once more with as many as the screen shows, and at least four for each of the page's: that smooths edges.
const MOVING = [1, 0.75, 0.5, 0.35];
const [SLOW, FAST] = [31, 18]; // milliseconds from picture to picture
let pace = 0; // row of MOVING
let resting = 0; // the timer that waits for rest
let gaps = [];
let last = 0;

function keepPace(now) {
  if (last) gaps.push(now - last); // the first picture after a rest says nothing
  last = now;
  if (gaps.length < 4) return;
  const usual = gaps.sort((one, other) => one - other)[2];
  gaps = [];
  if (usual > SLOW && pace < MOVING.length - 1) pace += 1;
  else if (usual < FAST && pace > 0) pace -= 1;
}

function fit({ atRest = false, toKeep = false } = {}) {
  const full = Math.max(Math.min(window.devicePixelRatio || 1, 2), gl ? 2 : 1);
  const calm = pace > 1 ? 1 : full; // where drawing is slow, only a picture to keep is worth the wait
  const fineness = toKeep ? full : atRest ? calm : MOVING[pace];
  const edge = Math.round(Math.min(stage.clientWidth, stage.clientHeight) * fineness);
  if (edge && canvas.width !== edge) { canvas.width = edge; canvas.height = edge; }
}

function settle() {
  window.clearTimeout(resting);
  resting = window.setTimeout(() => {
    if (!face || asked) return; // the next picture comes, and sets the timer again
    last = 0;
    gaps = [];
    paint(false, { atRest: true });
  }, 160);
}

// Lids, mouth and face first, then eyes, then skull, neck and ears: what is not wanted is not drawn.
function spans() {
  const [front, eyes, back] = head.counts;
  const wanted = [[0, front]];
  if (hasEyes) wanted.push([front, eyes]);
  if (isWhole && !isOver) wanted.push([front + eyes, back]);
  return wanted;
}

function paint(isMoved, { atRest = false, toKeep = false } = {}) {
  fit({ atRest, toKeep });
  if (!gl) { paintPlain(); return; }
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  if (isMoved) {
    for (const [name, values] of [["place", places], ["normal", normals]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, values);
    }
  }
  const isWire = look === "wire";
  useWay(look === "texture" ? paints.skin : paints.clay);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.faces);
  gl.colorMask(!isWire, !isWire, !isWire, !isWire);
  for (const [start, count] of spans()) gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_SHORT, start * 2);
  gl.colorMask(true, true, true, true);
  if (!isWire) return;
  gl.uniform1f(paints.clay.wired, 1);
  gl.uniform1f(paints.clay.lift, 0.002);
  gl.uniform3fv(paints.clay.ink, inkOf(isOver ? "over" : "accent"));
  gl.uniform1f(paints.clay.alpha, 0.55);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.edges);
  gl.drawElements(gl.LINES, lines[isWhole && !isOver ? 1 : 0], gl.UNSIGNED_SHORT, 0);
  gl.disable(gl.BLEND);
}

function useWay(way) {
  const { turn, scale, x, y } = camera();
  gl.useProgram(way.program);
  gl.uniformMatrix3fv(way.turn, false, turn);
  gl.uniform1f(way.scale, scale);
  gl.uniform2f(way.shift, x, y);
  gl.uniform1f(way.lift, 0);
  gl.uniform1f(way.textured, look === "texture" ? 1 : 0);
  if (way === paints.clay) {
    gl.uniform1f(way.wired, 0);
    gl.uniform1f(way.alpha, 1);
  }
}

function inkOf(name) {
  if (name === "over") return [0.18, 0.83, 0.75];
  const hex = getComputedStyle(document.body).getPropertyValue("--mien-accent").trim().replace("#", "");
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
}

// ---- without WebGL: triangles from far to near, each in one colour ----

let skinColours = null;
function coloursFrom(image) {
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [image.width, image.height];
  const pen = sheet.getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, sheet.width, sheet.height);
  const result = new Uint8Array(head.vertices * 3);
  for (let row = 0; row < head.vertices; row += 1) {
    const x = Math.min(Math.floor((head.uvs[row * 2] / 65536) * sheet.width), sheet.width - 1);
    const y = Math.min(Math.floor((1 - head.uvs[row * 2 + 1] / 65535) * sheet.height), sheet.height - 1);
    for (let channel = 0; channel < 3; channel += 1) result[row * 3 + channel] = data[(y * sheet.width + x) * 4 + channel];
  }
  return result;
}

function paintPlain() {
  const pen = canvas.getContext("2d");
  const half = canvas.width / 2;
  const { turn, scale, x, y } = camera();
  const seen = new Float32Array(places.length);
  for (let at = 0; at < places.length; at += 3) {
    const [px, py, pz] = [places[at], places[at + 1], places[at + 2]];
    seen[at] = half + half * (scale * (turn[0] * px + turn[3] * py + turn[6] * pz) + x);
    seen[at + 1] = half - half * (scale * (turn[1] * px + turn[4] * py + turn[7] * pz) + y);
    seen[at + 2] = turn[2] * px + turn[5] * py + turn[8] * pz;
  }
  const order = [];
  for (const [start, count] of spans()) {
    for (let at = start; at < start + count; at += 3) {
      const [a, b, c] = [head.faces[at] * 3, head.faces[at + 1] * 3, head.faces[at + 2] * 3];
      const area = (seen[b] - seen[a]) * (seen[c + 1] - seen[a + 1]) - (seen[b + 1] - seen[a + 1]) * (seen[c] - seen[a]);
      if (area < 0) order.push([seen[a + 2] + seen[b + 2] + seen[c + 2], a, b, c]);
    }
  }
  order.sort((one, other) => one[0] - other[0]);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const colours = (look === "texture" && skinColours) || head.colours;
  const [red, green, blue] = inkOf(isOver ? "over" : "accent").map((value) => Math.round(value * 255));
  for (const [, a, b, c] of order) {
    const length = Math.hypot(normals[a], normals[a + 1], normals[a + 2]) || 1;
    const [nx, ny, nz] = [0, 1, 2].map((row) => (turn[row] * normals[a] + turn[3 + row] * normals[a + 1] + turn[6 + row] * normals[a + 2]) / length);
    let light = 0.38;
    for (const [lx, ly, lz, strength] of LIGHTS) light += strength * Math.max((nx * lx + ny * ly + nz * lz) / Math.hypot(lx, ly, lz), 0);
    if (look === "texture") light = 0.65 + 0.35 * light;
    const colour = [0, 1, 2].map((channel) => Math.min(255, Math.round(colours[a + channel] * light)));
    pen.beginPath();
    pen.moveTo(seen[a], seen[a + 1]);
    pen.lineTo(seen[b], seen[b + 1]);
    pen.lineTo(seen[c], seen[c + 1]);
    pen.closePath();
    if (look === "wire") {
      pen.strokeStyle = `rgb(${red},${green},${blue})`;
      pen.lineWidth = 0.6;
      pen.stroke();
    } else {
      pen.fillStyle = `rgb(${colour.join(",")})`;
      pen.strokeStyle = pen.fillStyle;
      pen.lineWidth = 1;
      pen.fill();
      pen.stroke();
    }
  }
}
