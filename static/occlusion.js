// The palette of covers, the row of guesses, and the face menus of the stages.
element.addEventListener("click", (event) => {
  const cover = event.target.closest(".palette button[data-kind]");
  if (cover) trigger("cover", { kind: cover.dataset.kind });
  const guess = event.target.closest(".guesses button[data-place]");
  if (guess) trigger("choose", { place: Number(guess.dataset.place) });
});
window.mien.serveFaceMenus(element, trigger);
