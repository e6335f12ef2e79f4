// A square on a picture: drag it, pull its corner, or use the keys; the server is told when it rests.
const root = element.querySelector(".crop-view");
const stage = element.querySelector(".crop-stage");
const picture = element.querySelector(".crop-stage img");
const frame = element.querySelector(".crop-frame");
const strip = element.querySelector(".crop-strip");
const slide = element.querySelector(".slide");
const range = element.querySelector(".slide input");
let state = null;
let shown = 0;
let box = { left: 0, top: 0, edge: 1 };

const ratio = () => state.pictures[shown].height / state.pictures[shown].width;
const isFrames = () => state.kind === "frames";
const boxOf = (place) => { const [left, top, edge] = state.boxes[isFrames() ? 0 : place]; return { left, top, edge }; };

function place() {
  frame.style.left = `${box.left * 100}%`;
  frame.style.top = `${(box.top / ratio()) * 100}%`;
  frame.style.width = `${box.edge * 100}%`;
  frame.style.height = `${(box.edge / ratio()) * 100}%`;
  frame.setAttribute("aria-valuetext", `${Math.round(box.edge * 100)} % of the picture's width`);
}

function show(number) {
  shown = Math.min(Math.max(number, 0), state.pictures.length - 1);
  const at = state.pictures[shown];
  picture.src = at.src;
  picture.alt = at.alt;
  stage.style.aspectRatio = `${at.width} / ${at.height}`;
  stage.style.maxWidth = `${Math.round(300 * Math.max(at.width / at.height, 0.4))}px`;
  frame.hidden = !state.boxes.length;
  element.querySelector(".crop-tools").hidden = !state.boxes.length;
  if (state.boxes.length) { box = boxOf(shown); place(); }
  for (const button of strip.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.place) === shown));
  }
  if (isFrames()) {
    range.value = shown;
    range.setAttribute("aria-valuetext", `${at.time.toFixed(2)} seconds`);
    element.querySelector(".slide b").textContent = `${at.time.toFixed(2)} s`;
  }
}

function tell() { trigger("crop", { place: shown, left: box.left, top: box.top, edge: box.edge }); }

function move(right, down) {
  const room = ratio();
  box.left = Math.min(Math.max(box.left + right, -box.edge / 2), 1 - box.edge / 2);
  box.top = Math.min(Math.max(box.top + down, -box.edge / 2), room - box.edge / 2);
  place();
}

function resize(by) {
  const edge = Math.min(Math.max(box.edge + by, 0.05), 3);
  box.left -= (edge - box.edge) / 2;
  box.top -= (edge - box.edge) / 2;
  box.edge = edge;
  place();
}

let held = null;
stage.addEventListener("pointerdown", (event) => {
  if (!state?.boxes.length || !event.target.closest(".crop-frame")) return;
  event.preventDefault();
  frame.focus();
  stage.setPointerCapture(event.pointerId);
  held = { x: event.clientX, y: event.clientY, pulls: Boolean(event.target.closest(".crop-corner")), moved: false };
});
stage.addEventListener("pointermove", (event) => {
  if (!held) return;
  const unit = 1 / Math.max(stage.clientWidth, 1);
  const [right, down] = [(event.clientX - held.x) * unit, (event.clientY - held.y) * unit];
  Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
  if (held.pulls) resize(right + down); else move(right, down);
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, () => { const moved = held?.moved; held = null; if (moved) tell(); });
}
frame.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.05 : 0.01;
  const keys = {
    ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0), ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step),
    "+": () => resize(2 * step), "=": () => resize(2 * step), "-": () => resize(-2 * step),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
  clearTimeout(frame.waiting);
  frame.waiting = setTimeout(tell, 350);
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.size) { resize(Number(button.dataset.size) * 0.06); tell(); }
  else if (button.matches(".crop-anew")) trigger("crop", { place: shown, anew: true });
  else if (button.matches(".crop-leave")) trigger("leave", { place: shown });
  else if (button.matches(".crop-automatic")) trigger("reference", { anew: true });
  else if (button.dataset.place) show(Number(button.dataset.place));
});
range.addEventListener("input", () => show(Number(range.value)));
range.addEventListener("change", () => trigger("reference", { time: state.pictures[shown].time }));

function draw() {
  root.hidden = !props.value;
  if (!props.value) { state = null; return; }
  state = JSON.parse(props.value);
  const several = state.pictures.length > 1;
  strip.replaceChildren(...(several && !isFrames() ? state.pictures.map((at, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.place = number;
    button.setAttribute("aria-label", at.alt);
    const small = document.createElement("img");
    small.src = at.src;
    small.alt = "";
    button.append(small);
    return button;
  }) : []));
  slide.hidden = !(isFrames() && several);
  range.max = state.pictures.length - 1;
  element.querySelector(".crop-leave").hidden = isFrames() || !several;
  element.querySelector(".crop-automatic").hidden = !isFrames() || !several || state.automatic;
  element.querySelector(".crop-words").textContent = state.words;
  show(state.shown ?? 0);
}
watch("value", draw);
draw();
