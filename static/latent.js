// The faces on the table: choose one, or take one away. A face menu stands beside each.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-place]");
  if (!button) return;
  const place = Number(button.dataset.place);
  if (button.dataset.act === "drop") trigger("drop", { place });
  else trigger("choose", { place });
});
window.mien.serveFaceMenus(element, trigger);
