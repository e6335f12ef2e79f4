// An example is taken with one press.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-name]");
  if (button) trigger("example", { name: button.dataset.name });
});
trigger("opened");
