// The cancel button of work under way.
element.addEventListener("click", (event) => {
  const button = event.target.closest(".cancel");
  if (!button) return;
  button.disabled = true;
  button.textContent = "Stopping";
  trigger("cancel");
});
