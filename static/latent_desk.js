// Sliders beside a face: a move is sent, the picture comes back, and only then the latest move goes out.
const root = element.querySelector(".latent-desk");
const line = element.querySelector("#latent-line");
const detail = element.querySelector("#latent-detail input");
const pictures = Object.fromEntries(
  ["photo", "rebuilt", "edited"].map((name) => [name, element.querySelector(`.latent-view .${name} img`)]),
);
const sliders = [...element.querySelectorAll(".measured")];
const moves = window.mien.oneAtATime(root, () => trigger("move"));

function standing() {
  const amounts = {};
  for (const slider of sliders) {
    const amount = Number(slider.querySelector("[type=range]").value);
    if (amount) amounts[slider.dataset.name] = amount;
  }
  return JSON.stringify({ amounts, keep_detail: detail.checked });
}

function write(slider, amount, besides) {
  for (const input of slider.querySelectorAll("input")) if (input !== besides) input.value = amount;
  slider.classList.toggle("moved", Number(amount) !== 0);
}

function send() {
  props.value = standing();
  if (!root.hidden) moves.send();
}

// While a number is typed it may be no number yet, and what is typed is not written over.
element.addEventListener("input", (event) => {
  const slider = event.target.closest(".measured");
  if (!slider || event.target.value === "") return;
  const reach = Number(event.target.max);
  write(slider, Math.max(-reach, Math.min(reach, Number(event.target.value))), event.target);
  send();
});

element.addEventListener("change", (event) => {
  const slider = event.target.closest(".measured");
  if (event.target === detail) send();
  else if (slider) write(slider, slider.querySelector("[type=range]").value);
});

element.querySelector("#latent-reset").addEventListener("click", () => {
  for (const slider of sliders) write(slider, 0);
  send();
});

function showFace() {
  moves.forget();
  root.hidden = !props.face;
  if (!props.face) return;
  const face = JSON.parse(props.face);
  pictures.photo.parentElement.hidden = detail.parentElement.hidden = !face.photo;
  if (face.photo) pictures.photo.src = face.photo;
  pictures.rebuilt.src = face.rebuilt;
  pictures.photo.alt = `${face.name}, aligned`;
  pictures.rebuilt.alt = `${face.name}, rebuilt from 128 numbers`;
  pictures.edited.alt = `${face.name}, as the sliders left it`;
  showPicture();
}

function showPicture() {
  if (!props.picture) return;
  const now = JSON.parse(props.picture);
  pictures.edited.src = now.src;
  line.textContent = now.line;
  moves.arrived();
}
watch("face", showFace);
watch("picture", showPicture);
showFace();
