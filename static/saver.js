// Asks the server for one kind of file and saves what comes back.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-kind]");
  if (button) trigger("save", { kind: button.dataset.kind });
});
watch("value", () => {
  if (!props.value) return;
  const file = JSON.parse(props.value);
  window.mien.save(file.name, file.href);
  props.value = null;
});
