// The admins' desk: session, tables, charts and dialogs that its parts share.
const root = element.querySelector(".team");
const TOKEN = "mien-compare-token"; // the same session as at the Compare tab
let board = null; // what the server said last
let section = "overview";

const store = {
  get: (key) => { try { return window.localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => {
    try { value === null ? window.localStorage.removeItem(key) : window.localStorage.setItem(key, value); }
    catch { /* a private window works too, it only forgets */ }
  },
};

function html(strings, ...values) {
  const safe = (value) => String(value ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  const holder = document.createElement("template");
  holder.innerHTML = strings.reduce((text, part, place) => text + (place ? safe(values[place - 1]) : "") + part, "").trim();
  return document.importNode(holder.content.firstElementChild, true);
}

async function call(name, more = {}) {
  const reply = await server[name]({ token: board?.token ?? store.get(TOKEN), project: board?.project ?? null, ...more });
  if (reply?.error) throw Object.assign(new Error(reply.error), { kind: reply.kind });
  return reply;
}

// ---- words for figures ------------------------------------------------------------------------------------------
const none = "–";
const whole = (value) => (value ?? null) === null ? none : Math.round(value).toLocaleString("en");
const percent = (value, digits = 0) => (value ?? null) === null ? none : `${(100 * value).toFixed(digits)} %`;
const seconds = (value) => (value ?? null) === null ? none : `${(value / 1000).toFixed(1)} s`;
const figure = (value) => (value ?? null) === null ? none : value.toFixed(2);
const chance = (value) => (value ?? null) === null ? none : value < 0.001 ? "< 0.001" : value.toFixed(3);
const when = (value) => value ? new Date(value).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : none;
const size = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const visible = () => root.isConnected && root.offsetParent !== null && !document.hidden;

// ---- building blocks --------------------------------------------------------------------------------------------
function button(words, act, kind = "") {
  const made = html`<button type="button">${words}</button>`;
  if (kind) made.classList.add(kind);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try { await act(made); } catch (error) { say(error.message, "wrong"); } finally { made.disabled = false; }
  });
  return made;
}

function row(...content) {
  const made = html`<div class="row"></div>`;
  made.append(...content);
  return made;
}

function panel(title, words, ...content) {
  const made = html`<section class="panel"><h3>${title}</h3></section>`;
  if (words) made.append(html`<p class="quiet">${words}</p>`);
  made.append(...content.filter(Boolean));
  return made;
}

function empty(title, words, ...content) {
  const made = html`<div class="empty"><h2>${title}</h2><p>${words}</p></div>`;
  if (content.length) made.append(row(...content));
  return made;
}

function say(words, kind = "") {
  const line = root.querySelector(".notice");
  if (!line) return;
  line.textContent = words;
  line.className = `notice ${kind}`;
}

/** Ask before something that cannot be taken back; resolves to the values of the form, or null. */
function ask(title, words, { fields = [], yes = "Go on", danger = false } = {}) {
  const box = html`<dialog aria-label="${title}"><form method="dialog"><h3>${title}</h3><p>${words}</p><div class="fields"></div><div class="row"></div></form></dialog>`;
  box.querySelector(".fields").append(...fields);
  const go = html`<button type="submit" value="yes" class="${danger ? "danger" : "primary"}">${yes}</button>`;
  const leave = html`<button type="button">Cancel</button>`;
  leave.addEventListener("click", () => box.close(""));
  box.querySelector(".row").append(go, leave);
  root.append(box);
  box.showModal();
  return new Promise((resolve) => box.addEventListener("close", () => {
    const given = box.returnValue === "yes" ? Object.fromEntries(new FormData(box.querySelector("form"))) : null;
    box.remove();
    resolve(given);
  }));
}

function field(label, input, hint = "") {
  const made = html`<label class="field"><span>${label}</span></label>`;
  made.append(input);
  if (hint) made.append(html`<small>${hint}</small>`);
  return made;
}

function choice(name, options, value) {
  const made = html`<select name="${name}"></select>`;
  made.append(...options.map(([key, words]) => new Option(words, key, false, key === value)));
  return made;
}

// ---- tables one can sort and take along -------------------------------------------------------------------------
/** columns: {key, title, tip?, shown?(row) -> text or node, value?(row) -> what to sort and save by, plain?: no numbers} */
function table(columns, rows, { name, sort = null, down = true, empty: words = "Nothing here yet." }) {
  const holder = html`<div class="table"><div class="scroll" tabindex="0" role="region" aria-label="${name}"><table><thead><tr></tr></thead><tbody></tbody></table></div></div>`;
  if (!rows.length) return html`<p class="quiet">${words}</p>`;
  let by = columns.find((one) => one.key === sort) ?? null;
  const value = (column, item) => column.value ? column.value(item) : item[column.key];
  const head = holder.querySelector("thead tr");
  for (const column of columns) {
    const cell = html`<th scope="col"><button type="button" title="${column.tip ?? ""}">${column.title}</button></th>`;
    if (!column.plain) cell.classList.add("number");
    if (column.fixed) cell.replaceChildren(column.title);
    cell.querySelector("button")?.addEventListener("click", () => {
      down = by === column ? !down : !column.plain;
      by = column;
      fill();
    });
    head.append(cell);
  }
  const sorted = () => by === null ? rows : [...rows].sort((one, other) => {
    const [a, b] = [value(by, one) ?? null, value(by, other) ?? null];
    if (a === null || b === null) return (a === null) - (b === null); // what is not known comes last either way
    return (typeof a === "string" ? a.localeCompare(b) : a - b) * (down ? -1 : 1);
  });
  function fill() {
    [...head.children].forEach((cell, place) => {
      cell.ariaSort = columns[place] === by ? (down ? "descending" : "ascending") : null;
    });
    holder.querySelector("tbody").replaceChildren(...sorted().map((item) => {
      const line = html`<tr></tr>`;
      if (item.marked) line.classList.add("marked");
      columns.forEach((column, place) => {
        const cell = document.createElement(place ? "td" : "th");
        if (!place) cell.scope = "row";
        if (!column.plain) cell.className = "number";
        const shown = column.shown ? column.shown(item) : item[column.key] ?? none;
        cell.append(shown);
        line.append(cell);
      });
      return line;
    }));
  }
  fill();
  const saved = columns.filter((one) => !one.fixed);
  const csv = () => [saved.map((one) => one.title), ...sorted().map((item) => saved.map((one) => value(one, item)))]
    .map((cells) => cells.map(cellOf).join(",")).join("\n") + "\n";
  const take = html`<button type="button" class="quiet-button">Download CSV</button>`;
  take.addEventListener("click", () => {
    window.mien.save(`${name}.csv`, URL.createObjectURL(new Blob([csv()], { type: "text/csv" })));
  });
  holder.append(take);
  return holder;
}

/** A cell of a CSV file; a text that begins like a formula must not become one in a spreadsheet. */
function cellOf(value) {
  if ((value ?? null) === null) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// ---- charts -----------------------------------------------------------------------------------------------------
const charts = new Set();

function chart(plot, label) {
  const holder = html`<div class="chart" role="img" aria-label="${label}"></div>`;
  holder.style.minHeight = `${plot.layout.height}px`;
  const made = { holder, plot };
  charts.add(made);
  requestAnimationFrame(() => draw(made));
  return holder;
}

function inked(layout, holder) {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--mien-${name}`).trim();
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), tickcolor: colour("line") };
  const result = {
    ...layout, width: holder.clientWidth, font: { color: colour("ink"), size: holder.clientWidth < 480 ? 11 : 13 },
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 13 } },
  };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) result[key] = { ...axis, ...layout[key] };
  return result;
}

async function draw(made) {
  if (!made.holder.isConnected) return charts.delete(made);
  const plotly = await window.mien.loadPlotly();
  if (!made.holder.clientWidth) return;
  await plotly.react(made.holder, made.plot.data, inked(made.plot.layout, made.holder), { displayModeBar: false });
}

const redraw = () => charts.forEach(draw);
window.addEventListener("mien-theme", redraw);
window.addEventListener("resize", redraw);
