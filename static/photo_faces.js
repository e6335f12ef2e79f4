// Marks the picked face at once and tells the server which one it is.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-number]");
  if (!button) return;
  element.querySelectorAll("button[data-number]").forEach((other) => {
    other.setAttribute("aria-pressed", String(other.dataset.number === button.dataset.number));
  });
  trigger("pick", { number: Number(button.dataset.number) });
});
