// Films come as text and are played from memory, so that none of them lies on the server and all can be wound.
let address = null;
function play() {
  const film = element.querySelector("video[data-film]");
  if (address) URL.revokeObjectURL(address);
  address = null;
  if (!film) return;
  const bytes = Uint8Array.from(atob(film.dataset.film), (sign) => sign.charCodeAt(0));
  film.removeAttribute("data-film");
  address = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  film.src = address;
  film.play().catch(() => { /* a browser that does not begin by itself has its own button */ });
}
watch("value", () => setTimeout(play));
setTimeout(play);
window.mien.serveFaceMenus(element, trigger);

// On a phone what went wrong is said far below the photo that was given: bring it into view.
for (const name of ["reenact-status", "reenact-desk-status"]) {
  const status = document.getElementById(name);
  if (!status || status.dataset.watched) continue;
  status.dataset.watched = "yes";
  new MutationObserver(() => {
    const note = status.querySelector(".status.note");
    if (!note) return;
    const { top, bottom } = note.getBoundingClientRect();
    if (bottom < 0 || top > window.innerHeight) note.scrollIntoView({ block: "center" });
  }).observe(status, { childList: true, subtree: true });
}
