// Part of the map: the legend, and what the server sends.

function drawLegend() {
  legend.replaceChildren();
  if (!colours) return;
  const title = document.createElement("span");
  title.className = "title";
  title.textContent = colours.title;
  legend.append(title);
  if (colours.codes) {
    colours.labels.forEach((label, place) => {
      if (!colours.counts[place]) return;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.label = place;
      button.title = `Select these ${colours.counts[place]} faces`;
      const dot = document.createElement("i");
      dot.style.background = colours.colours[place];
      button.append(dot, `${label} · ${colours.counts[place]}`);
      legend.append(button);
    });
  } else {
    const ramp = document.createElement("i");
    ramp.className = "ramp";
    ramp.style.background = `linear-gradient(to right, ${colours.colours.join(",")})`;
    legend.append(colours.low.toFixed(2), ramp, colours.high.toFixed(2));
  }
  if (colours.unknown) legend.append(`${colours.unknown} not known`);
}

function filter() {
  const rows = [];
  const mask = colours?.shown;
  for (let row = 0; row < map.count; row += 1) if (!mask || mask[row]) rows.push(row);
  shown = Int32Array.from(rows);
  visible = null;
}

function takePoints() {
  if (!props.value) return;
  performance.mark("map-points");
  const before = map;
  map = readPoints(props.value);
  const isSame = before?.key === map.key;
  if (!isSame) {
    pages = new Map();
    selected = new Uint8Array(map.count);
    cursor = -1;
    colours = null;
  }
  takeColours();
  marked = { centre: null, near: [], newcomer: null };
  lines = [];
  view = null;
  filter();
  setMode(mode);
  hideTip();
  draw({ afresh: true }).then(() => window.requestAnimationFrame(() => performance.measure("map-first-paint", "map-points")));
}

// Points and colours may arrive in either order; colours of another atlas are left alone.
function takeColours() {
  const next = props.paint ? readPaint(props.paint) : null;
  if (next?.key === map.key) colours = next;
  drawLegend();
}

function takePaint() {
  if (!map) return;
  takeColours();
  filter();
  draw();
}

function takeMarks() {
  const next = props.marks ? JSON.parse(props.marks) : null;
  if (!map || next?.key !== map.key) return;
  marked = next;
  if (is3d()) { draw(); return; }
  const place = marked.newcomer;
  if (place && (place[0] < view.x[0] || place[0] > view.x[1] || place[1] < view.y[0] || place[1] > view.y[1])) look(wholeView());
  drawOver();
}

function takeLines() {
  const next = props.lines ? JSON.parse(props.lines) : null;
  if (!map) return;
  lines = next?.key === map.key && next?.layout === map.layout ? next.lines : [];
  drawOver();
}

// Names of properties stand without quotes here: Gradio takes every quoted word of this file for an event.
const takers = { value: takePoints, paint: takePaint, marks: takeMarks, lines: takeLines };
for (const name of Object.keys(takers)) watch(name, takers[name]);

new ResizeObserver(() => {
  if (!map || !stage.clientWidth) return;
  if (!drawn || is3d()) { draw({ afresh: !drawn }); return; }
  const middle = view ? view.x.map((end, at) => (view.x[at] + view.x[1 - at]) / 2)[0] : 0;
  const whole = wholeView();
  const zoom = view ? (view.x[1] - view.x[0]) / (whole.x[1] - whole.x[0]) : 1;
  const up = view ? (view.y[0] + view.y[1]) / 2 : 0;
  look({ x: whole.x.map((end) => middle + end * zoom), y: whole.y.map((end) => up + end * zoom) });
}).observe(stage);

window.addEventListener("mien-theme", () => draw());
window.mien.loadPlotly().catch(() => { /* said again when there is something to draw */ });
trigger("map_ready");
