// Face menus of the compared faces, and leaving one out.
window.mien.serveFaceMenus(element, trigger);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button.leave");
  if (button) trigger("drop", { place: Number(button.dataset.place) });
});
