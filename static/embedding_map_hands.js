// Part of the map: pointing, picking, selecting, keyboard and fingers.
// ---- pointing, picking, selecting ----

let tipped = -1;

function showTip(row, event) {
  if (row < 0) return;
  tipped = row;
  tip.querySelector("p").textContent = wordsOf(row);
  tip.hidden = false;
  const bounds = stage.getBoundingClientRect();
  const [x, y] = is3d() ? [(event?.clientX ?? 0) - bounds.left, (event?.clientY ?? 0) - bounds.top] : toPixel(row);
  const left = Math.min(Math.max(x + 14, 4), stage.clientWidth - tip.offsetWidth - 4);
  const top = Math.min(Math.max(y + 14, 4), stage.clientHeight - tip.offsetHeight - 4);
  tip.style.transform = `translate(${left}px, ${top}px)`;
  drawTip();
}

function drawTip() {
  if (tip.hidden || tipped < 0) return;
  const canvas = tip.querySelector("canvas");
  const brush = canvas.getContext("2d");
  brush.fillStyle = ink("line");
  brush.fillRect(0, 0, canvas.width, canvas.height);
  drawFace(brush, tipped, 0, 0, canvas.width);
}

function hideTip() {
  tip.hidden = true;
  tipped = -1;
}

function pick(row) {
  if (row < 0) return;
  cursor = row;
  stage.dataset.picked = map.ids[row];
  trigger("pick_face", { key: map.key, id: map.ids[row] });
  drawOver();
}

function isInside(x, y, outline) {
  let inside = false;
  for (let one = 0, other = outline.length - 1; one < outline.length; other = one, one += 1) {
    const [ax, ay] = outline[one];
    const [bx, by] = outline[other];
    if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function selectInside(outline, how) {
  performance.mark("map-lasso-end");
  const corners = outline.map(([left, top]) => toData(left, top));
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  if (how === "new") selected.fill(0);
  const [x, y] = map.axes;
  for (const row of shown) {
    if (x[row] < left || x[row] > right || y[row] < low || y[row] > high) continue;
    if (isInside(x[row], y[row], corners)) selected[row] = how === "less" ? 0 : 1;
  }
  drawOver();
  performance.measure("map-lasso", "map-lasso-end");
  tellSelection();
}

function tellSelection() {
  const ids = [];
  for (let row = 0; row < selected.length; row += 1) if (selected[row]) ids.push(map.ids[row]);
  say.textContent = `${ids.length} faces selected`;
  trigger("select_faces", { key: map.key, ids });
}

function setMode(next) {
  mode = is3d() ? "move" : next;
  over.classList.toggle("catching", mode !== "move");
  for (const button of element.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    button.disabled = is3d() && button.dataset.mode !== "move";
  }
}

function place(event) {
  const bounds = stage.getBoundingClientRect();
  return [event.clientX - bounds.left, event.clientY - bounds.top];
}

over.addEventListener("pointerdown", (event) => {
  if (mode === "move" || !map || event.button !== 0) return;
  over.setPointerCapture(event.pointerId);
  path = [place(event)];
});

over.addEventListener("pointermove", (event) => {
  if (!path.length) return;
  const [x, y] = place(event);
  if (mode === "box") {
    const [left, top] = path[0];
    path = [[left, top], [x, top], [x, y], [left, y]];
  } else {
    const [lastX, lastY] = path[path.length - 1];
    if (Math.hypot(x - lastX, y - lastY) < 3) return;
    path.push([x, y]);
  }
  drawSoon();
});

over.addEventListener("pointerup", (event) => {
  const outline = path;
  path = [];
  if (outline.length < 3) { drawOver(); return; }
  selectInside(outline, event.shiftKey ? "more" : event.altKey ? "less" : "new");
});

over.addEventListener("pointercancel", () => { path = []; drawOver(); });

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !map) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  if (button.dataset.zoom === "in") look(zoomed(1 / 1.6));
  if (button.dataset.zoom === "out") look(zoomed(1.6));
  if (button.dataset.zoom === "all") { view = null; is3d() ? draw({ afresh: true }) : look(wholeView()); }
  if (button.dataset.label) selectLabel(Number(button.dataset.label));
});

function selectLabel(label) {
  selected.fill(0);
  for (const row of shown) if (colours.codes[row] === label) selected[row] = 1;
  if (is3d()) draw(); else drawOver();
  tellSelection();
}

// ---- keyboard and fingers ----

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function nextInDirection([right, up]) {
  const [x, y] = map.axes;
  const from = cursor >= 0 ? [x[cursor], y[cursor]] : toData(stage.clientWidth / 2, stage.clientHeight / 2);
  let [best, least] = [cursor, Infinity];
  for (const row of shown) {
    if (row === cursor) continue;
    const [dx, dy] = [x[row] - from[0], y[row] - from[1]];
    const along = cursor >= 0 ? dx * right + dy * up : Math.hypot(dx, dy);
    const aside = cursor >= 0 ? Math.abs(dx * up) + Math.abs(dy * right) : 0;
    if (along <= 0 || aside > along * 1.2) continue;
    const cost = along + 2 * aside;
    if (cost < least) [best, least] = [row, cost];
  }
  return best;
}

function step(direction) {
  cursor = nextInDirection(direction);
  if (cursor < 0) return;
  const [x, y] = toPixel(cursor);
  if (x < 0 || y < 0 || x > stage.clientWidth || y > stage.clientHeight) {
    look(moved((x - stage.clientWidth / 2) / stage.clientWidth, (stage.clientHeight / 2 - y) / stage.clientHeight));
  }
  say.textContent = wordsOf(cursor);
  tellCursor();
  showTip(cursor);
  drawOver();
}

// Which face the keyboard stands on and where, for whoever drives the page from outside.
function tellCursor() {
  const [x, y] = toPixel(cursor);
  Object.assign(stage.dataset, { face: map.ids[cursor], left: x, top: y });
}

function focus() {
  const [x, y] = cursor >= 0 ? toPixel(cursor) : [-1, -1];
  const isSeen = x >= 0 && y >= 0 && x <= stage.clientWidth && y <= stage.clientHeight;
  return isSeen ? { x, y } : undefined;
}

stage.addEventListener("keydown", (event) => {
  if (!map || is3d() || event.ctrlKey || event.metaKey) return;
  const direction = DIRECTIONS[event.key];
  if (direction && event.shiftKey) look(moved(direction[0] * 0.2, direction[1] * 0.2));
  else if (direction) step(direction);
  else if (event.key === "Enter") pick(cursor);
  else if (event.key === " " && cursor >= 0) { selected[cursor] ^= 1; drawOver(); tellSelection(); }
  else if (event.key === "+" || event.key === "=") look(zoomed(1 / 1.6, focus()));
  else if (event.key === "-") look(zoomed(1.6, focus()));
  else if (event.key === "0" || event.key === "Home") look(wholeView());
  else if (event.key === "Escape") { selected.fill(0); path = []; hideTip(); drawOver(); tellSelection(); }
  else return;
  event.preventDefault();
});

let pinch = null;

function fingers(event) {
  const [one, other] = [place(event.touches[0]), place(event.touches[1])];
  return { apart: Math.hypot(one[0] - other[0], one[1] - other[1]), x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2 };
}

stage.addEventListener("touchstart", (event) => {
  if (event.touches.length !== 2 || !map || is3d()) return;
  path = [];
  pinch = fingers(event);
  event.preventDefault();
  event.stopPropagation();
}, { capture: true, passive: false });

stage.addEventListener("touchmove", (event) => {
  if (!pinch || event.touches.length !== 2) return;
  const now = fingers(event);
  const next = zoomed(pinch.apart / Math.max(now.apart, 1), now);
  const shift = [(now.x - pinch.x) / stage.clientWidth, (now.y - pinch.y) / stage.clientHeight];
  view = next;
  look(moved(-shift[0], shift[1]));
  pinch = now;
  event.preventDefault();
  event.stopPropagation();
}, { capture: true, passive: false });

stage.addEventListener("touchend", () => { pinch = null; }, { capture: true });
