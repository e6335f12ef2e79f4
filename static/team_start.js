// Signing in, moving between the sections, and counting on until the figures are of now.
const SECTIONS = {
  overview: ["Overview", overviewSection], people: ["People", peopleSection], questions: ["Disputed", questionsSection],
  models: ["Models", modelsSection], projects: ["Projects", projectsSection], files: ["In and out", filesSection],
};

function show() {
  const asking = root.querySelector("dialog[open]");
  if (asking) return asking.addEventListener("close", show, { once: true });  // drawing anew would take the question away
  root.dataset.state = "open";
  const bar = html`<header><div class="who"></div><nav role="tablist" aria-label="Parts of the team's desk"></nav></header>`;
  if (board.projects.length) {
    const list = choice("project", board.projects.map((one) => [one.id, one.state === "open" ? one.name : `${one.name} (${one.state})`]), board.project);
    list.setAttribute("aria-label", "Project");
    list.addEventListener("change", () => { board.project = Number(list.value); refresh().catch(told); });
    bar.querySelector(".who").append(list);
  }
  bar.querySelector(".who").append(html`<p class="quiet counts"></p>`);
  for (const [key, [words]] of Object.entries(SECTIONS)) {
    const tab = html`<button type="button" role="tab" aria-selected="${key === section}">${words}</button>`;
    tab.addEventListener("click", () => { section = key; say(""); show(); });
    bar.querySelector("nav").append(tab);
  }
  const before = root.querySelector(".notice");
  const notice = before ?? html`<p class="notice" role="status"></p>`;
  const body = html`<div class="body"></div>`;
  root.replaceChildren(bar, notice, body);
  bar.querySelector("[aria-selected=true]").scrollIntoView({ inline: "nearest", block: "nearest" });
  const [, make] = SECTIONS[section];
  const needsProject = !["people", "projects", "files"].includes(section);
  body.append(...(board.project === null && needsProject
    ? [empty("No project yet", "Open the Compare tab once to start with the starter faces, or make a project of your own.", button("New project", newProject, "primary"))]
    : make()));
  showCounts();
}

function showCounts() {
  const line = root.querySelector(".counts");
  if (!line || board.project === null) return;
  line.textContent = board.behind
    ? `${whole(board.answers)} answers counted, about ${whole(board.behind)} to go`
    : `${whole(board.answers)} answers`;
}

const told = (error) => say(error.message, "wrong");

function keep(reply) {
  const same = board?.project === reply.project;
  board = { ...(board ?? {}), ...reply, token: reply.token ?? board?.token, reliability: same && reply.to === board.to ? board.reliability : null };
}

async function refresh() {
  keep(await call("team_overview"));
  show();
  countOn().catch(told);
}

let counting = null;
async function countOn() {
  const mine = (counting = Symbol("count"));
  while (board.behind > 0) {
    const reply = await call("team_count", { to: board.to });
    if (counting !== mine || !root.isConnected || reply.project !== board.project) return;
    keep(reply);
    if (["overview", "people"].includes(section)) show(); else showCounts();
    if (reply.stuck) await pause(5000);
    while (!visible() && root.isConnected) await pause(1000);
  }
}

function closed(reply) {
  root.dataset.state = "closed";
  const known = reply.name ? `You are signed in as ${reply.name}, who is no admin here. ` : "";
  const page = html`<div class="welcome"><h2>For the people who run this studio</h2>
    <p>${known}Admins see here how the answers of the Compare tab come along, invite people, decide disputed questions and let the models learn from them.</p>
    <form><label class="field"><span>Name</span><input name="name" autocomplete="username" required></label>
    <label class="field"><span>Passphrase</span><input name="passphrase" type="password" autocomplete="current-password" required></label>
    <div class="row"><button type="submit" class="primary">Sign in</button></div></form>
    <p class="notice" role="status"></p>
    <details><summary>This is my own studio</summary><p>On the machine Mien runs on, this prints a link that makes you an admin; open it in this browser:</p>
    <pre>.venv/bin/mien labels invite YOUR-NAME --admin</pre></details></div>`;
  if (reply.hub) {
    page.querySelector("details").append(html`<p>On a Hugging Face Space, name your account in the variable MIEN_ADMINS, restart, and sign in with Hugging Face at the Compare tab.</p>`);
  }
  page.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try { take(await call("team_sign_in", Object.fromEntries(new FormData(event.target)))); } catch (error) { say(error.message, "wrong"); }
  });
  root.replaceChildren(page);
}

function take(reply) {
  if (reply.token) store.set(TOKEN, reply.token);
  if (reply.state !== "open") {
    board = null;
    return closed(reply);
  }
  keep(reply);
  show();
  countOn().catch(told);
}

async function start() {
  const address = new URL(window.location);
  const invitation = address.searchParams.get("invite");
  try {
    const reply = await call("team_open", { invitation });
    if (invitation) {
      address.searchParams.delete("invite");
      window.history.replaceState(null, "", address);
    }
    take(reply);
  } catch (error) {
    closed({});
    say(error.message, "wrong");
  }
}

// Somebody may sign in at the Compare tab and come here: look again when the tab is shown.
let shownBefore = true;
setInterval(() => {
  const now = root.isConnected && root.offsetParent !== null;
  if (now && !shownBefore && root.dataset.state === "closed" && store.get(TOKEN)) start();
  if (now && !shownBefore) redraw();
  shownBefore = now;
}, 700);

root.replaceChildren(html`<p class="quiet" role="status">Loading</p>`);
start();
