// Part of the map: the canvas above the points, with thumbnails that come in pages.
// ---- the canvas above ----

function toPixel(row) {
  return [
    (map.axes[0][row] - view.x[0]) / (view.x[1] - view.x[0]) * size.width,
    (view.y[1] - map.axes[1][row]) / (view.y[1] - view.y[0]) * size.height,
  ];
}

function toData(left, top) {
  return [
    view.x[0] + left / size.width * (view.x[1] - view.x[0]),
    view.y[1] - top / size.height * (view.y[1] - view.y[0]),
  ];
}

function inView() {
  if (visible) return visible;
  const rows = [];
  const [x, y] = map.axes;
  for (const row of shown) {
    if (x[row] >= view.x[0] && x[row] <= view.x[1] && y[row] >= view.y[0] && y[row] <= view.y[1]) rows.push(row);
  }
  visible = rows;
  return rows;
}

let isQueued = false;
function drawSoon() {
  if (isQueued) return;
  isQueued = true;
  window.requestAnimationFrame(() => { isQueued = false; drawOver(); });
}

function drawOver() {
  size = { width: stage.clientWidth, height: stage.clientHeight };
  const [{ width, height }, dense] = [size, window.devicePixelRatio || 1];
  if (over.width !== Math.round(width * dense) || over.height !== Math.round(height * dense)) {
    over.width = Math.round(width * dense);
    over.height = Math.round(height * dense);
  }
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!map || !view || is3d()) return;
  const rows = inView();
  const areFaces = rows.length <= Math.max(24, width * height / (THUMBNAIL * THUMBNAIL) * 0.55);
  drawJoined();
  drawLines();
  if (areFaces) drawThumbnails(rows);
  drawSelected(rows, areFaces);
  drawMarks(areFaces);
  drawPath();
}

function drawThumbnails(rows) {
  for (const row of rows) {
    const [x, y] = toPixel(row);
    pen.fillStyle = colourOf(row);
    pen.fillRect(x - THUMBNAIL / 2 - 2, y - THUMBNAIL / 2 - 2, THUMBNAIL + 4, THUMBNAIL + 4);
    drawFace(pen, row, x - THUMBNAIL / 2, y - THUMBNAIL / 2, THUMBNAIL);
  }
}

function drawSelected(rows, areFaces) {
  const chosen = rows.filter((row) => selected[row]);
  if (!chosen.length) return;
  pen.beginPath();
  const reach = chosen.length > 3000 ? 1.6 : chosen.length > 300 ? 3 : 6;
  pen.fillStyle = pen.strokeStyle = ink("ink");
  for (const row of chosen) {
    const [x, y] = toPixel(row);
    if (chosen.length > 3000) pen.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
    else { pen.moveTo(x + reach, y); pen.arc(x, y, reach, 0, 7); }
  }
  pen.lineWidth = 1.6;
  if (areFaces) { chosen.forEach((row) => frame(...toPixel(row), ink("ink"))); return; }
  if (chosen.length <= 3000) pen.stroke();
}

function ring(x, y, reach, colour) {
  pen.beginPath();
  pen.arc(x, y, reach, 0, 7);
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  pen.stroke();
}

function frame(x, y, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 3;
  pen.strokeRect(x - THUMBNAIL / 2 - 2, y - THUMBNAIL / 2 - 2, THUMBNAIL + 4, THUMBNAIL + 4);
}

function centre() {
  return marked.newcomer ? pixelOf(marked.newcomer) : marked.centre !== null ? toPixel(marked.centre) : null;
}

function drawLines() {
  const start = centre();
  pen.strokeStyle = ink("accent");
  pen.lineWidth = 1.5;
  for (const row of start ? marked.near : []) {
    pen.beginPath();
    pen.moveTo(...start);
    pen.lineTo(...toPixel(row));
    pen.stroke();
  }
}

// Contradictions are dashed as well as red: the colour alone would not reach everybody.
function drawJoined() {
  for (const [x, y, toX, toY, kind] of lines) {
    const [start, end] = [pixelOf([x, y]), pixelOf([toX, toY])];
    pen.strokeStyle = kind === "contradicts" ? CONTRADICTS : kind === "moved" ? ink("ink") : ink("accent");
    pen.setLineDash(kind === "contradicts" ? [5, 4] : []);
    pen.lineWidth = 1.2;
    pen.beginPath();
    pen.moveTo(...start);
    pen.lineTo(...end);
    pen.stroke();
    if (kind !== "moved") continue;
    pen.beginPath();
    pen.arc(...end, 3.5, 0, 7);
    pen.fillStyle = ink("ink");
    pen.fill();
  }
  pen.setLineDash([]);
}

function drawMarks(areFaces) {
  const accent = ink("accent");
  const start = centre();
  for (const row of start ? marked.near : []) {
    if (areFaces) frame(...toPixel(row), accent); else ring(...toPixel(row), 7, accent);
  }
  if (start && areFaces && !marked.newcomer) frame(...start, ink("ink"));
  else if (start) { ring(...start, 11, ink("ground")); ring(...start, 9, ink("ink")); }
  if (marked.newcomer) {
    pen.fillStyle = accent;
    pen.beginPath();
    pen.arc(...start, 6, 0, 7);
    pen.fill();
  }
  if (cursor >= 0 && areFaces) frame(...toPixel(cursor), ink("ink"));
  else if (cursor >= 0) ring(...toPixel(cursor), 13, ink("ink"));
}

function pixelOf([x, y]) {
  return [
    (x - view.x[0]) / (view.x[1] - view.x[0]) * size.width,
    (view.y[1] - y) / (view.y[1] - view.y[0]) * size.height,
  ];
}

function drawPath() {
  if (path.length < 2) return;
  pen.beginPath();
  path.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  pen.fillStyle = `color-mix(in srgb, ${ink("accent")} 14%, transparent)`;
  pen.fill();
  pen.strokeStyle = ink("accent");
  pen.lineWidth = 1.5;
  pen.stroke();
}

// ---- thumbnails: pages of many faces, each fetched once ----

function drawFace(target, row, left, top, size) {
  const slot = map.slots[row];
  const page = pages.get(Math.floor(slot / map.page));
  if (!page) { fetchPage(Math.floor(slot / map.page)); return; }
  if (!page.complete || !page.naturalWidth) return;
  const place = slot % map.page;
  const [x, y] = [place % map.columns * map.edge, Math.floor(place / map.columns) * map.edge];
  target.drawImage(page, x, y, map.edge, map.edge, left, top, size, size);
}

async function fetchPage(number) {
  if (pages.has(number) || waiting >= PAGES_AT_ONCE) return;
  const [key, image] = [map.key, new Image()];
  const store = pages;
  store.set(number, image);
  waiting += 1;
  try {
    image.src = await server.sprite_page({ key, page: number });
    await image.decode();
  } catch (error) {
    // without thumbnails the map still works; the page is asked for again the next time it is needed
    store.delete(number);
  }
  waiting -= 1;
  if (map?.key === key && store.has(number)) { drawOver(); drawTip(); }
}
