// Sliders for a still face: a move is sent, the picture comes back, and only then the next move goes out.
const root = element.querySelector(".face-desk");
const picture = element.querySelector(".desk-picture");
const line = element.querySelector(".desk-line");
const NAMES = JSON.parse(root.dataset.names);
const PRESETS = JSON.parse(root.dataset.presets);
let own = null;
let expression = [];
let turn = { yaw: 0, pitch: 0, roll: 0 };
const moves = window.mien.oneAtATime(root, () => trigger("move", { expression, ...turn }));

const rows = (text) => Object.entries(JSON.parse(text || "{}")).map(([name, share]) => [NAMES.indexOf(name), share]);
const mean = (pairs) => (pairs.length ? pairs.reduce((sum, [row]) => sum + expression[row], 0) / pairs.length : 0);

function write(slider, value, unit) {
  slider.value = value;
  const text = unit ? `${Math.round(value)}°` : Number(value).toFixed(2);
  slider.nextElementSibling.textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function showSliders() {
  for (const slider of element.querySelectorAll("input[data-more]")) {
    write(slider, mean(rows(slider.dataset.more)) - mean(rows(slider.dataset.less)));
  }
  for (const slider of element.querySelectorAll("input[data-row]")) write(slider, expression[Number(slider.dataset.row)]);
  for (const slider of element.querySelectorAll("input[data-turn]")) write(slider, turn[slider.dataset.turn], true);
}

function send() {
  if (own) moves.send();
}

element.addEventListener("input", (event) => {
  const slider = event.target;
  if (!own || slider.type !== "range") return;
  const value = Number(slider.value);
  if (slider.dataset.turn) turn[slider.dataset.turn] = value;
  else if (slider.dataset.row) expression[Number(slider.dataset.row)] = value;
  else {
    for (const [row, share] of rows(slider.dataset.more)) expression[row] = Math.max(value, 0) * share;
    for (const [row, share] of rows(slider.dataset.less)) expression[row] = Math.max(-value, 0) * share;
  }
  showSliders();
  send();
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-preset]");
  if (!button || !own) return;
  const preset = PRESETS[button.dataset.preset];
  if (preset) expression = NAMES.map((name) => preset[name] ?? 0);
  else { expression = [...own]; turn = { yaw: 0, pitch: 0, roll: 0 }; }
  showSliders();
  send();
});

function begin() {
  root.hidden = !props.value;
  own = null;
  if (!props.value) return;
  const face = JSON.parse(props.value);
  own = face.own;
  expression = [...own];
  turn = { yaw: 0, pitch: 0, roll: 0 };
  moves.forget();
  element.querySelector(".face-menu").dataset.name = face.name;
  picture.alt = `${face.name}, as the sliders left it`;
  showSliders();
  show();
}

function show() {
  if (!props.picture) return;
  const now = JSON.parse(props.picture);
  picture.src = now.src;
  line.textContent = now.line;
  moves.arrived();
}
watch("value", begin);
watch("picture", show);
window.mien.serveFaceMenus(element, trigger);
begin();
