// Shared by all components: the theme, the face menu, saving files, and loading Plotly when it is first needed.
(() => {
  const KEY = "mien-theme";
  const stored = () => {
    try { return window.localStorage.getItem(KEY); } catch { return null; }
  };

  function showTheme(name) {
    document.body.classList.toggle("dark", name === "dark");
    document.documentElement.style.colorScheme = name;
    window.dispatchEvent(new CustomEvent("mien-theme", { detail: name }));
  }

  function isDark() {
    return document.body.classList.contains("dark");
  }

  function switchTheme() {
    const name = isDark() ? "light" : "dark";
    try { window.localStorage.setItem(KEY, name); } catch { /* a browser that keeps nothing still switches */ }
    showTheme(name);
  }

  // Gradio sets its class when it mounts and when the system changes; a stored choice goes before both.
  function keepChoice() {
    const choice = stored();
    if (choice && isDark() !== (choice === "dark")) showTheme(choice);
  }
  // An invitation leads straight to its tab: ?tab=compare, or ?tab=team.
  function openTab() {
    const address = new URL(window.location);
    const wanted = address.searchParams.get("tab") ?? (address.searchParams.has("invite") ? "compare" : null);
    if (!wanted) return;
    const look = () => {
      const tabs = [...document.querySelectorAll("#mien-tabs [role=tab]")];
      const tab = tabs.find((one) => one.textContent.trim().toLowerCase() === wanted.toLowerCase());
      if (!tab) return false;
      address.searchParams.delete("tab");
      window.history.replaceState(null, "", address);
      tab.click();
      return true;
    };
    if (look()) return;
    const watch = new MutationObserver(() => { if (look()) watch.disconnect(); });
    watch.observe(document.body, { childList: true, subtree: true });
    setTimeout(() => watch.disconnect(), 30_000);
  }

  function start() {
    document.documentElement.lang = "en";
    openTab();
    keepChoice();
    new MutationObserver(keepChoice).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }
  // Gradio adds this script while the page loads, or when it has.
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);

  function fileUrl(path) {
    const root = (window.gradio_config?.root ?? "").replace(/\/$/, "");
    return `${root}/gradio_api/file=${path}`;
  }

  let plotly;
  function loadPlotly() {
    plotly ??= new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = fileUrl(window.mienPlotly);
      tag.onload = () => resolve(window.Plotly);
      tag.onerror = () => { plotly = undefined; reject(new Error("the chart library could not be loaded")); };
      document.head.appendChild(tag);
    });
    return plotly;
  }

  function save(name, href) {
    const link = document.createElement("a");
    link.href = href;
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
  }

  function faceTabs() {
    const holder = document.querySelector("[data-face-tabs]");
    return holder ? JSON.parse(holder.dataset.faceTabs) : [];
  }

  // Fills a face menu when it opens and answers its entries; `here` is the tab the menu stands in.
  function serveFaceMenus(element, trigger) {
    element.addEventListener("toggle", (event) => {
      const menu = event.target;
      if (!menu.matches?.("details.face-menu") || !menu.open) return;
      element.querySelectorAll("details.face-menu[open]").forEach((other) => { if (other !== menu) other.open = false; });
      const entries = menu.querySelector(".entries");
      const own = menu.dataset.here;
      const tabs = faceTabs().filter((title) => title !== own);
      entries.replaceChildren(...tabs.map((title) => entry(`Open in ${title}`, title)), entry("Download picture", ""));
    }, true);
    element.addEventListener("click", (event) => {
      const button = event.target.closest(".face-menu .entries button");
      if (!button) return;
      const menu = button.closest("details.face-menu");
      menu.open = false;
      menu.querySelector("summary").focus();
      if (button.dataset.tab) {
        trigger(`open_in_${button.dataset.tab.toLowerCase()}`, { key: menu.dataset.key });
      } else {
        const picture = menu.closest("[data-face-holder]")?.querySelector("img");
        if (picture) save(`${menu.dataset.name.replaceAll(/[^\w-]+/g, "-")}.jpg`, picture.src);
      }
    });
    element.addEventListener("keydown", (event) => {
      const menu = event.target.closest("details.face-menu[open]");
      if (event.key !== "Escape" || !menu) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
      element.querySelectorAll("details.face-menu[open]").forEach((menu) => {
        if (!menu.contains(event.target)) menu.open = false;
      });
    });
  }

  function entry(words, tab) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.dataset.tab = tab;
    return button;
  }

  const PATIENCE_MS = 8000;

  // A slider asks for one picture at a time: what is moved meanwhile goes out, as it then stands, when that one is here.
  function oneAtATime(root, ask) {
    let busy = false;
    let waiting = false;
    let patience = null;
    function send() {
      waiting = busy;
      if (busy) return;
      busy = true;
      root.setAttribute("aria-busy", "true");
      patience = setTimeout(arrived, PATIENCE_MS);
      ask();
    }
    function arrived() {
      clearTimeout(patience);
      busy = false;
      root.removeAttribute("aria-busy");
      if (waiting) send();
    }
    function forget() {
      waiting = false;
      arrived();
    }
    return { send, arrived, forget };
  }

  window.mien = { isDark, switchTheme, loadPlotly, save, serveFaceMenus, fileUrl, oneAtATime };
})();
