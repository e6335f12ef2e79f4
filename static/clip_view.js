// Moves through a clip with the slider or by pressing a key moment.
let waiting = null;
element.addEventListener("input", (event) => {
  if (event.target.type !== "range") return;
  clearTimeout(waiting);
  const index = Number(event.target.value);
  waiting = setTimeout(() => trigger("seek", { index }), 60);
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (button) trigger("seek", { index: Number(button.dataset.index) });
});
