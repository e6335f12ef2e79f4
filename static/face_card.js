// Face menus, the choice of a face to compare with, and details that stay open from face to face.
window.mien.serveFaceMenus(element, trigger);
const open = new Set();
element.addEventListener("click", (event) => {
  const other = event.target.closest("button.other");
  if (other) trigger("against", { key: other.getAttribute("aria-pressed") === "true" ? "" : other.dataset.key });
  if (event.target.closest("button.keep")) trigger("keep");
});
element.addEventListener("toggle", (event) => {
  const name = event.target.dataset?.remember;
  if (name) open[event.target.open ? "add" : "delete"](name);
}, true);
watch("value", () => {
  element.querySelectorAll("details.face-menu").forEach((menu) => { menu.open = false; });
  element.querySelectorAll("details[data-remember]").forEach((part) => { part.open = open.has(part.dataset.remember); });
});
