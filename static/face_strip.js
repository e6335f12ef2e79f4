// A row of faces, each with its menu.
window.mien.serveFaceMenus(element, trigger);
