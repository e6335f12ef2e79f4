// The annotator's seat. The next faces are decoded before they are needed, so an answer only swaps what is painted.
const root = element.querySelector(".compare");
const TOKEN = "mien-compare-token";
const OUTBOX = "mien-compare-unsent";
const TOO_SOON = 250; // ms after painting in which no person can have looked: a double press
const REASONS = ["Not a face", "Blurred or cut off", "Same picture twice", "Picture missing"];

let seat = null; // what the server said about person and project
let waiting = []; // questions held, the first one is shown
let shown = null; // {question, paintedAt}
let pausedAt = false;
let practice = null; // feedback being shown
let sending = Promise.resolve();
let given = 0;
let chosenProject = Number(new URL(window.location).searchParams.get("project")) || null;

const store = {
  get: (key) => { try { return window.localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => {
    try { value === null ? window.localStorage.removeItem(key) : window.localStorage.setItem(key, value); }
    catch { /* a private window still works, it only cannot resume by itself */ }
  },
};

const body = (more = {}) => ({
  token: seat?.token ?? store.get(TOKEN), project: seat?.project?.id ?? chosenProject, have: waiting.map((one) => one.assignment), ...more,
});

async function call(name, more) {
  const reply = await server[name](body(more));
  if (reply?.error) throw Object.assign(new Error(reply.error), { kind: reply.kind, told: true });
  return reply;
}

// ---- painting -------------------------------------------------------------------------------------------------
function hold(questions) {
  const known = new Map(waiting.map((one) => [one.assignment, one]));
  waiting = questions.map((one) => known.get(one.assignment) ?? (one.faces ? build(one) : null)).filter(Boolean);
}

async function show() {
  const question = waiting[0];
  if (!question) {
    if (root.dataset.state === "working" && !unsent().length) finished();
    return;
  }
  if (shown?.question === question && question.panel.isConnected) return;
  shown = { question, paintedAt: null };
  const current = shown;
  await question.ready;
  if (shown !== current) return;
  root.querySelector(".arena").replaceChildren(question.panel);
  root.querySelector("h2").textContent = question.mode === seat.project.mode ? seat.project.question : WORDS[question.mode];
  root.classList.toggle("practising", question.practice);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (shown !== current) return;
    current.paintedAt = performance.now();
    root.dataset.painted = question.assignment;
    if (performance.getEntriesByName("mien-press").length) {
      performance.measure("mien-next-faces", "mien-press");
      performance.clearMarks("mien-press");
    }
  }));
}

function say(words) {
  const line = root.querySelector(".notice");
  if (line) line.textContent = words;
}

function showProgress() {
  const progress = seat.progress;
  const done = Math.min(progress.given + given, progress.wanted);
  const left = Math.max(progress.wanted - done, 0);
  const mine = progress.mine + given;
  root.querySelector(".line i").style.width = `${progress.wanted ? (100 * done) / progress.wanted : 0}%`;
  root.querySelector(".counts").textContent = shown?.question.practice
    ? "Practice: after each answer you see which was expected"
    : `${mine} answered by you · ${left} left for everybody`;
}

// ---- answering ------------------------------------------------------------------------------------------------
function answer(choice, number = null, reason = null) {
  if (!shown?.paintedAt || pausedAt || practice || performance.now() - shown.paintedAt < TOO_SOON) return;
  const { question, paintedAt } = shown;
  const face = number === null ? null : choices(question)[number - 1];
  if (choice === "face" && !face) return;
  if (choice === "face" && question.mode === "grid" && !pick(question, face)) return;
  const [first, second] = question.mode === "grid" && face ? question.picked : [face];
  performance.mark("mien-press");
  const said = {
    assignment: question.assignment, choice, face: first?.id ?? null, second: second?.id ?? null, reason, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    response_ms: shown.interrupted ? null : Math.round(performance.now() - paintedAt),
    device: matchMedia("(pointer: coarse)").matches ? "touch" : "keyboard or mouse", version: "1",
  };
  store.set(OUTBOX, JSON.stringify([...unsent(), said]));
  waiting = waiting.filter((one) => one !== question);
  given += 1;
  say("");
  if (question.practice) {
    practice = { question };
    sending = sending.then(send).then((reply) => feedback(question, face, reply));
  } else {
    shown = null;
    show();
    showProgress();
    sending = sending.then(send);
  }
}

const unsent = () => JSON.parse(store.get(OUTBOX) ?? "[]");

async function send() {
  let reply = null;
  for (const said of unsent()) {
    for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
      try {
        reply = await call("compare_answer", said);
        break;
      } catch (error) {
        if (error.told) { refused(error); reply = null; break; }
        say("No connection. Your answer is kept here and sent as soon as the server can be reached.");
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
    store.set(OUTBOX, JSON.stringify(unsent().filter((one) => one.key !== said.key)));
    if (!reply) return null;
    say(reply.notice ?? "");
    if (reply.stored === false) given -= 1;
    const answered = new Set(unsent().map((one) => one.assignment));
    hold(reply.questions.filter((one) => !answered.has(one.assignment)));
  }
  if (!practice) { show(); showProgress(); }
  return reply;
}

function refused(error) {
  given -= 1;
  say(error.message);
  if (error.kind === "NotAllowed") ended(error.message);
}

function feedback(question, face, reply) {
  const told = reply?.feedback;
  if (!told) { practice = null; shown = null; return show(); }
  question.panel.querySelector(`[data-face="${told.odd}"]`)?.classList.add("odd");
  const yes = question.mode === "odd_one_out" ? "Yes, this one differs most." : "Yes, this one was expected.";
  const words = told.right ? yes : `The outlined face was expected. ${told.words}`;
  const line = html`<p class="feedback" role="status"><span>${words}</span> <button type="button" class="go">Continue <kbd>Enter</kbd></button></p>`;
  line.classList.toggle("right", told.right);
  root.querySelector(".arena").append(line);
  line.querySelector("button").addEventListener("click", carryOn);
  practice = { question, shown: true };
}

function carryOn() {
  if (!practice?.shown) return;
  practice = null;
  shown = null;
  show();
  showProgress();
}

async function undo() {
  if (pausedAt || !seat) return;
  if (practice) carryOn();
  await (sending = sending.then(send));
  try {
    const reply = await call("compare_undo", { key: crypto.randomUUID?.() ?? `${Date.now()}` });
    if (!reply.undone) return say("There is nothing to undo.");
    given -= 1;
    root.dataset.state = "working";
    if (!root.querySelector(".arena")) work();
    shown = null;
    hold(reply.questions);
    say("Taken back. Answer it again.");
    show();
    showProgress();
  } catch (error) { say(error.message); }
}

// ---- states ---------------------------------------------------------------------------------------------------
function work() {
  root.dataset.state = "working";
  root.replaceChildren(
    html`<div class="line" aria-hidden="true"><i></i></div>`,
    html`<header><div><h2>${seat.project.question}</h2><p class="hint">${seat.project.instructions}</p></div><p class="who">${seat.person.role === "visitor" ? "Trying it out" : seat.person.name}</p></header>`,
    html`<div class="arena"></div>`,
    html`<p class="notice" role="status"></p>`,
    html`<div class="actions">
      <button type="button" data-act="cannot"><kbd>0</kbd> Can't tell</button>
      <button type="button" data-act="bad" aria-haspopup="dialog"><kbd>B</kbd> Bad picture</button>
      <button type="button" data-act="undo"><kbd>U</kbd> Undo</button>
      <button type="button" data-act="zoom"><kbd>Space</kbd> Zoom</button>
      <button type="button" data-act="pause"><kbd>P</kbd> Pause</button>
      <button type="button" data-act="help"><kbd>?</kbd> Help</button></div>`,
    html`<p class="counts"></p>`,
  );
  if (seat.projects.length > 1) root.querySelector(".who").append(projectChoice());
  showProgress();
  show().then(showProgress);
  if (matchMedia("(max-width: 720px)").matches) root.scrollIntoView({ block: "start" });
}

function projectChoice() {
  const choice = html`<label class="project"><span>Project</span><select></select></label>`;
  const list = choice.querySelector("select");
  list.append(...seat.projects.map((one) => new Option(one.name, one.id, false, one.id === seat.project.id)));
  list.addEventListener("change", async () => {
    await (sending = sending.then(send));
    chosenProject = Number(list.value);
    seat = null;
    shown = null;
    start();
  });
  return choice;
}

function message(title, words, ...buttons) {
  shown = null;
  root.dataset.state = "message";
  const box = html`<div class="message"><h2>${title}</h2><p>${words}</p><div class="actions"></div></div>`;
  box.querySelector(".actions").append(...buttons);
  root.replaceChildren(box);
}

function button(words, act) {
  const made = html`<button type="button">${words}</button>`;
  made.addEventListener("click", act);
  return made;
}

function finished() {
  message("That was all for now", "Every question here has its answers. New ones may come; your place is kept.",
    button("Look again", () => start()), button("Undo the last answer", undo));
}

function ended(words) {
  message("You are not signed in here", words, button("Back to the start", () => { store.set(TOKEN, null); seat = null; start(); }));
}

function pause() {
  if (!root.querySelector(".arena") || practice) return;
  pausedAt = !pausedAt;
  root.classList.toggle("paused", pausedAt);
  if (shown) shown.interrupted = true;
  say(pausedAt ? "Paused; your place is kept. Press P to go on." : "");
}

function welcome(reply) {
  root.dataset.state = "welcome";
  const page = html`<div class="welcome">
    <h2>${reply.project.question}</h2>
    <p>${reply.project.instructions} ${HOW[reply.project.mode]} There is no right or wrong feeling; take the time you need.</p>
    <div class="example"></div>
    <ul><li>The number keys on the faces, clicks or taps choose a face; <kbd>0</kbd> means you can't tell.</li>
    <li><kbd>B</kbd> reports a bad picture, <kbd>U</kbd> takes back an answer, as many as you like.</li>
    <li>A few clear practice questions come first and tell you the expected answer.</li></ul>
    <p class="consent">${reply.consent}</p>
    <div class="actions"><button type="button" class="primary try">Agree and try it</button></div>
    <details><summary>I have a name and passphrase</summary><form>
      <label>Name <input name="name" autocomplete="username" required></label>
      <label>Passphrase <input name="passphrase" type="password" autocomplete="current-password" required></label>
      <button type="submit">Agree and sign in</button></form></details>
    <p class="notice" role="status"></p></div>`;
  if (reply.example) page.querySelector(".example").append(exampleOf(reply.example, reply.project.mode));
  page.querySelector(".try").addEventListener("click", () => enter("compare_visit", {}));
  page.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    enter("compare_sign_in", Object.fromEntries(new FormData(event.target)));
  });
  if (server.compare_hub) {
    page.querySelector(".actions").append(button("Agree and use my Hugging Face account", () => enter("compare_hub", {})));
  }
  root.replaceChildren(page);
}

async function enter(name, more) {
  try { seated(await call(name, more)); } catch (error) { say(error.message); }
}

function seated(reply) {
  if (reply.state === "empty") {
    return message("Nothing to compare yet", "This studio has no gallery with expression vectors. Add one with: mien gallery add FOLDER");
  }
  if (reply.state === "welcome") return welcome(reply);
  seat = reply;
  given = 0;
  store.set(TOKEN, reply.token);
  waiting = [];
  hold(reply.questions);
  work();
  if (unsent().length) sending = sending.then(send);
}

async function start() {
  const address = new URL(window.location);
  const invitation = address.searchParams.get("invite");
  try {
    const reply = await call("compare_open", { invitation });
    if (invitation) {
      address.searchParams.delete("invite");
      window.history.replaceState(null, "", address);
    }
    seated(reply);
  } catch (error) {
    message("This does not open", error.message, button("Try again", () => { store.set(TOKEN, null); start(); }));
  }
}

// ---- keys, clicks, dialogs ------------------------------------------------------------------------------------
const ACTS = {
  cannot: () => answer("cannot_tell"), bad: () => badPicture(), undo, zoom: () => root.classList.toggle("zoomed"), pause, help,
};
const KEYS = { 0: "cannot", b: "bad", u: "undo", " ": "zoom", p: "pause", "?": "help" };

function dialog(title, ...content) {
  const box = html`<dialog class="box" aria-label="${title}"><h3>${title}</h3></dialog>`;
  box.append(...content);
  box.addEventListener("close", () => box.remove());
  root.append(box);
  box.showModal();
  if (shown) shown.interrupted = true;
  return box;
}

function badPicture() {
  if (!shown?.paintedAt || practice || pausedAt) return;
  const list = html`<div class="reasons"></div>`;
  const box = dialog("What is wrong with it?", list);
  const choose = (place) => { box.close(); answer("bad_picture", null, REASONS[place]); };
  REASONS.forEach((words, place) => {
    const made = html`<button type="button"><kbd>${place + 1}</kbd> ${words}</button>`;
    made.addEventListener("click", () => choose(place));
    list.append(made);
  });
  list.append(button("Cancel", () => box.close()));
  box.addEventListener("keydown", (event) => {
    if (REASONS[Number(event.key) - 1] && !event.repeat) { event.preventDefault(); event.stopPropagation(); choose(Number(event.key) - 1); }
  });
}

function help() {
  const box = dialog("Keys", html`<dl>
    <dt><kbd>1</kbd> to <kbd>${shown?.question.mode === "grid" ? 8 : shown?.question.mode === "head_two" ? 2 : 3}</kbd></dt><dd>choose this face; of eight faces two are chosen</dd>
    <dt><kbd>0</kbd></dt><dd>can't tell</dd><dt><kbd>B</kbd></dt><dd>bad picture, with a reason</dd>
    <dt><kbd>U</kbd></dt><dd>take back the last answer, again for the one before</dd>
    <dt><kbd>Space</kbd></dt><dd>larger faces and back</dd><dt><kbd>P</kbd></dt><dd>pause; your place is kept</dd></dl>`);
  const actions = html`<div class="actions"></div>`;
  actions.append(button("Close", () => box.close()), button("Sign out", () => { box.close(); store.set(TOKEN, null); seat = null; start(); }));
  box.append(actions);
}

root.addEventListener("click", (event) => {
  const face = event.target.closest("button.face");
  if (face) return answer("face", Number(face.dataset.number));
  const act = event.target.closest("[data-act]");
  if (act) ACTS[act.dataset.act]();
});

document.addEventListener("keydown", (event) => {
  if (!root.isConnected || root.offsetParent === null || root.dataset.state !== "working") return;
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || root.querySelector("dialog[open]")) return;
  if (event.target.closest("input, textarea, select, [contenteditable=true]")) return;
  if (event.key === "Enter" && practice?.shown) { event.preventDefault(); return carryOn(); }
  if (event.key === " " && event.target.matches("button:focus-visible, a:focus-visible, [role=tab]:focus-visible")) return;
  const act = KEYS[event.key.toLowerCase()];
  if (/^[1-8]$/.test(event.key)) { event.preventDefault(); answer("face", Number(event.key)); }
  else if (act) { event.preventDefault(); ACTS[act](); }
});

document.addEventListener("visibilitychange", () => { if (document.hidden && shown) shown.interrupted = true; });

root.replaceChildren(html`<p class="notice" role="status">Loading</p>`);
start();
