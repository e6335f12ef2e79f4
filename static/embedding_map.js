// The map: Plotly draws the points, pans and zooms them; everything that changes often (selection, thumbnails, neighbours,
// the lasso itself) is drawn on a canvas above it, so that 100,000 points are never drawn again for it.
const stage = element.querySelector(".map-stage");
const plot = element.querySelector(".map-plot");
const over = element.querySelector(".map-over");
const tip = element.querySelector(".map-tip");
const say = element.querySelector(".map-say");
const legend = element.querySelector(".map-legend");
const pen = over.getContext("2d");
const THUMBNAIL = 46;
const PAGES_AT_ONCE = 3;
const CONTRADICTS = "#D5372B";

let map = null; // what `value` says: ids, axes, slots
let colours = null; // what `paint` says
let marked = { centre: null, near: [], newcomer: null }; // what `marks` says
let shown = new Int32Array(0); // rows that pass the filter
let selected = new Uint8Array(0);
let lines = []; // [x, y, x, y, kind] for each, from `lines`
let cursor = -1;
let mode = "move";
let path = []; // the lasso under way, in pixels of the stage
let view = null; // {x: [low, high], y: [low, high]}
let drawn = false;
let size = { width: 0, height: 0 }; // of the stage; asking the page for it again and again is slow
let visible = null; // rows in view, until the view or the filter changes
let pages = new Map();
let waiting = 0;

// ---- reading what the server sends ----

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const raw = atob(text);
  const result = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) result[place] = raw.charCodeAt(place);
  return result.buffer;
}

function readPoints(text) {
  const message = JSON.parse(text);
  return {
    ...message,
    ids: new Uint32Array(bytes(message.ids)),
    axes: message.axes.map((axis) => new Float32Array(bytes(axis))),
    slots: new Uint32Array(bytes(message.slots)),
  };
}

function readPaint(text) {
  const message = JSON.parse(text);
  return {
    ...message,
    codes: message.codes ? new Uint8Array(bytes(message.codes)) : null,
    numbers: message.numbers ? new Float32Array(bytes(message.numbers)) : null,
    shown: message.shown ? new Uint8Array(bytes(message.shown)) : null,
  };
}

function ink(name) {
  return getComputedStyle(document.body).getPropertyValue(`--mien-${name}`).trim();
}

function mixed(share) {
  const steps = colours.colours.length - 1;
  const place = Math.min(Math.max(share, 0), 1) * steps;
  const low = Math.min(Math.floor(place), steps - 1);
  const part = (hex, at) => parseInt(hex.slice(at, at + 2), 16);
  const [one, other] = [colours.colours[low], colours.colours[low + 1]];
  const channels = [1, 3, 5].map((at) => Math.round(part(one, at) + (part(other, at) - part(one, at)) * (place - low)));
  return `rgb(${channels.join(",")})`;
}

function colourOf(row) {
  if (!colours) return ink("accent");
  if (colours.codes) return colours.colours[colours.codes[row]] ?? ink("quiet");
  const value = colours.numbers[row];
  return Number.isNaN(value) ? ink("quiet") : mixed((value - colours.low) / (colours.high - colours.low));
}

function wordsOf(row) {
  const name = `Face ${map.ids[row]}`;
  if (!colours) return name;
  const value = colours.codes ? colours.labels[colours.codes[row]] : colours.numbers[row]?.toFixed(2);
  const isKnown = value !== undefined && value !== "NaN";
  return `${name} · ${colours.title.toLowerCase()} ${isKnown ? value : "not known"}`;
}

// ---- the points, drawn by Plotly ----

// One trace for each colour: a colour for each of 100,000 points would have to be parsed 100,000 times.
const STEPS = 24;
let groups = []; // {rows, colour}, one for each trace

function grouped() {
  if (!colours) return [{ rows: shown, colour: ink("accent") }];
  const last = colours.codes ? colours.labels.length : STEPS;
  const place = (row) => {
    if (colours.codes) return Math.min(colours.codes[row], last);
    const share = (colours.numbers[row] - colours.low) / (colours.high - colours.low);
    return Number.isNaN(share) ? last : Math.min(Math.max(Math.floor(share * STEPS), 0), STEPS - 1);
  };
  const rows = Array.from({ length: last + 1 }, () => []);
  for (const row of shown) rows[place(row)].push(row);
  const colour = (at) => (at === last ? ink("quiet") : colours.codes ? colours.colours[at] : mixed((at + 0.5) / STEPS));
  return rows.map((found, at) => ({ rows: found, colour: colour(at) })).filter((group) => group.rows.length);
}

function marker(colour) {
  const count = shown.length;
  const size = count < 600 ? 10 : count < 4000 ? 7 : count < 20000 ? 5 : 3.2;
  return { size: is3d() ? size * 0.55 : size, opacity: count < 4000 ? 0.9 : 0.7, line: { width: 0 }, color: colour };
}

function is3d() {
  return map?.axes.length === 3;
}

function picked(axis, rows) {
  const result = new Float32Array(rows.length);
  for (let place = 0; place < rows.length; place += 1) result[place] = axis[rows[place]];
  return result;
}

function traces(type) {
  groups = grouped();
  return groups.map(({ rows, colour }) => {
    const [x, y, z] = map.axes.map((axis) => picked(axis, rows));
    return { type, mode: "markers", x, y, ...(z ? { z } : {}), marker: marker(colour), hoverinfo: "none" };
  });
}

function wholeView() {
  const unit = 2.3 / Math.min(stage.clientWidth, stage.clientHeight);
  const [across, up] = [unit * stage.clientWidth / 2, unit * stage.clientHeight / 2];
  return { x: [-across, across], y: [-up, up] };
}

function figure() {
  const bare = { visible: false, showgrid: false, zeroline: false };
  const layout = {
    margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false, hovermode: "closest", hoverdistance: 14, dragmode: is3d() ? "orbit" : "pan",
  };
  if (!is3d()) {
    return [traces("scattergl"), { ...layout, xaxis: { ...bare, range: [...view.x] }, yaxis: { ...bare, range: [...view.y] } }];
  }
  const scene = { xaxis: bare, yaxis: bare, zaxis: bare, aspectmode: "data" };
  return [[...traces("scatter3d"), lifted()], { ...layout, scene }];
}

// In three dimensions there is no canvas above: what is marked becomes a second, larger set of points.
function lifted() {
  const rows = new Set(marked.near);
  if (marked.centre !== null) rows.add(marked.centre);
  for (let row = 0; row < selected.length && rows.size < 2000; row += 1) if (selected[row]) rows.add(row);
  const [x, y, z] = map.axes.map((axis) => [...rows].map((row) => axis[row]));
  if (marked.newcomer) [x, y, z].forEach((axis, place) => axis.push(marked.newcomer[place]));
  const look = { size: 9, color: "rgba(0,0,0,0)", line: { width: 2, color: ink("ink") }, symbol: "circle-open" };
  return { type: "scatter3d", mode: "markers", x, y, z, marker: look, hoverinfo: "skip" };
}

// Points and colours that arrive together are drawn together.
let wanted = null;
function draw({ afresh = false } = {}) {
  wanted ??= { afresh: false, done: new Promise((resolve) => { setTimeout(resolve); }).then(() => {
    const now = wanted;
    wanted = null;
    return drawNow(now.afresh);
  }) };
  wanted.afresh ||= afresh;
  return wanted.done;
}

async function drawNow(afresh) {
  if (!map || !stage.clientWidth) return;
  const plotly = await window.mien.loadPlotly();
  view ??= wholeView();
  visible = null;
  const [data, layout] = figure();
  const settings = { displayModeBar: false, scrollZoom: true, responsive: true, doubleClick: false };
  if (afresh || !drawn) {
    plotly.purge(plot);
    await plotly.newPlot(plot, data, layout, settings);
    listen();
    drawn = true;
  } else {
    await plotly.react(plot, data, layout, settings);
  }
  drawOver();
}

function listen() {
  plot.on("plotly_hover", (event) => showTip(rowOf(event), event.event));
  plot.on("plotly_unhover", hideTip);
  plot.on("plotly_click", (event) => pick(rowOf(event)));
  if (is3d()) return;
  for (const name of ["plotly_relayouting", "plotly_relayout"]) {
    plot.on(name, (event) => { seen(event); drawOver(); if (!tip.hidden && cursor >= 0) showTip(tipped); });
  }
}

function rowOf(event) {
  const point = event.points?.[0];
  return groups[point?.curveNumber]?.rows[point.pointNumber] ?? -1;
}

function seen(event) {
  for (const name of Object.keys(view)) {
    const key = `${name}axis.range`;
    const range = event[key] ?? [event[`${key}[0]`], event[`${key}[1]`]];
    const known = range.every(Number.isFinite) ? range : plot.layout[`${name}axis`].range;
    view[name] = [...known];
  }
  visible = null;
}

async function look(next) {
  if (is3d()) return;
  view = next;
  visible = null;
  stage.dataset.moving = String(Number(stage.dataset.moving ?? 0) + 1);
  const plotly = await window.mien.loadPlotly();
  const change = {};
  change["xaxis.range"] = [...view.x];
  change["yaxis.range"] = [...view.y];
  await plotly.relayout(plot, change);
  stage.dataset.moving = String(Number(stage.dataset.moving) - 1);
}

function zoomed(factor, at = { x: stage.clientWidth / 2, y: stage.clientHeight / 2 }) {
  const [x, y] = toData(at.x, at.y);
  const scale = (range, middle) => range.map((end) => middle + (end - middle) * factor);
  return { x: scale(view.x, x), y: scale(view.y, y) };
}

function moved(right, up) {
  const shift = (range, share) => range.map((end) => end + (range[1] - range[0]) * share);
  return { x: shift(view.x, right), y: shift(view.y, up) };
}
