// The theme switch: remembers the choice in this browser, and follows the system until there is one.
element.addEventListener("click", (event) => {
  if (event.target.closest(".theme-switch")) window.mien.switchTheme();
});
