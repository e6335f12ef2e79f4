// Overview and people: how far it is, who answers, and how far they agree.
const PEOPLE = [
  { key: "name", title: "Name", plain: true, shown: nameOf },
  { key: "answers", title: "Answers", shown: (one) => whole(one.answers) },
  { key: "gold", title: "Gold right", tip: "Share of questions with a known answer that were answered so", shown: (one) => percent(one.gold) },
  { key: "consistency", title: "Same again", tip: "Share of designed repeats answered as the first time", shown: (one) => percent(one.consistency) },
  { key: "agreement", title: "Agrees", tip: "Share of answers that are what most others say; two others at least", shown: (one) => percent(one.agreement) },
  { key: "reliability", title: "Reliable", tip: "Chance of a right answer after Dawid and Skene, from the newest votes", shown: (one) => percent(one.reliability) },
  { key: "median_ms", title: "Median time", tip: "From all pictures painted to the answer", shown: (one) => seconds(one.median_ms) },
  { key: "hasty", title: "Under 0.6 s", tip: "Share of answers too quick to have looked", shown: (one) => percent(one.hasty) },
  { key: "position_p", title: "Sides even (p)", tip: "Chi-square test: how likely so uneven a use of the places on the screen is by chance", shown: (one) => chance(one.position_p) },
  { key: "cannot_tell", title: "Can't tell", shown: (one) => percent(one.cannot_tell) },
  { key: "notes", title: "Look at", plain: true, value: (one) => notes(one).join("; "), shown: (one) => notes(one).join(", ") || none },
  { key: "deeds", title: "", fixed: true, plain: true, shown: deedsOf },
];

function nameOf(one) {
  const made = html`<span>${one.name}</span>`;
  const words = [one.role === "admin" ? "admin" : "", one.role === "imported" ? "imported" : "", one.state === "active" ? "" : one.state];
  words.filter(Boolean).forEach((word) => made.append(" ", html`<em class="tag ${word}">${word}</em>`));
  return made;
}

/** What an admin may want to look at; thresholds as in docs/team.md. */
function notes(one) {
  const found = [];
  if (one.gold !== null && one.gold < 0.7) found.push("gold");
  if (one.consistency !== null && one.consistency < 0.6) found.push("repeats");
  if (one.hasty !== null && one.hasty > 0.2) found.push("hasty");
  if (one.position_p !== null && one.position_p < 0.001) found.push("one side");
  if (one.cannot_tell > 0.3) found.push("can't tell");
  return one.role === "visitor" ? [] : found;
}

const DEEDS = {
  link: ["New invitation link", null],
  pause: ["Pause", null],
  resume: ["Let go on", null],
  exclude: ["Exclude", "Their answers stay in the table, marked, and are left out of agreement, reliability and training. You can let them in again."],
  readmit: ["Let in again", null],
  make_admin: ["Make admin", "Admins see this tab, everybody's figures, and all answers."],
  make_annotator: ["Make annotator", null],
  sign_out: ["Sign out everywhere", "Their links and open sessions stop working until you make a new link."],
  forget: ["Forget the name", "Name, passphrase and links are deleted for good; the answers stay without a name."],
  remove: ["Delete with all answers", "The person and every answer they gave are deleted for good."],
};
const GRAVE = new Set(["forget", "remove", "exclude"]);

function deedsFor(one) {
  if (one.role === "imported") return [one.state === "excluded" ? "readmit" : "exclude", "forget", "remove"];
  const state = one.state === "active" ? ["pause", "exclude"] : one.state === "paused" ? ["resume", "exclude"] : ["readmit"];
  if (one.state === "removed") return ["remove"];
  return ["link", ...state, one.role === "admin" ? "make_annotator" : "make_admin", "sign_out", "forget", "remove"];
}

function deedsOf(one) {
  if (one.id === null) return "";
  const menu = html`<select aria-label="Do something for ${one.name}"><option value="">Change</option></select>`;
  menu.append(...deedsFor(one).map((deed) => new Option(DEEDS[deed][0], deed)));
  menu.addEventListener("change", async () => {
    const deed = menu.value;
    menu.value = "";
    const [title, warning] = DEEDS[deed];
    if (warning && !(await ask(`${title}: ${one.name}`, warning, { yes: title, danger: GRAVE.has(deed) }))) return;
    try {
      const done = await call("team_person", { person: one.id, deed });
      if (done.token) return showLink(done.name, done.token, one.role === "admin");
      say(`${title}: ${one.name}.`);
      await refresh();
    } catch (error) { say(error.message, "wrong"); }
  });
  return menu;
}

function showLink(name, token, admin) {
  const address = new URL(window.location.href);
  address.search = "";
  address.hash = "";
  address.searchParams.set("invite", token);
  address.searchParams.set("tab", admin ? "team" : "compare");
  const line = html`<input readonly aria-label="Invitation link" value="${address.href}">`;
  const words = `Send it to ${name} alone: whoever has it answers in their name. It is shown once; a new one can be made any time.`;
  const shown = ask(`Invitation for ${name}`, words, { fields: [line], yes: "Copy" });
  line.select();
  return shown.then(async (given) => {
    if (!given) return;
    try { await navigator.clipboard.writeText(address.href); say("The link is copied."); }
    catch { say("This browser does not copy by itself; mark the link and copy it.", "wrong"); await showLink(name, token, admin); }
  });
}

async function invite() {
  const fields = [
    field("Name", html`<input name="name" required maxlength="120" autocomplete="off">`),
    field("Role", choice("role", [["annotator", "Annotator"], ["admin", "Admin"]], "annotator")),
    field("Passphrase", html`<input name="passphrase" type="password" minlength="8" autocomplete="new-password">`, "Only if they shall sign in by name too; eight characters at least"),
  ];
  const given = await ask("Invite somebody", "They get a link; no account is needed.", { fields, yes: "Make the link" });
  if (!given) return;
  const made = await call("team_invite", given);
  await refresh();
  await showLink(made.name, made.token, given.role === "admin");
}

// ---- sections ---------------------------------------------------------------------------------------------------
function overviewSection() {
  const parts = [];
  if (!board.answers && !board.behind) {
    parts.push(empty("No answers yet", "Invite somebody, or answer a few questions at the Compare tab yourself.", button("Invite somebody", invite, "primary")));
  }
  if (board.progress.length) parts.push(panel("Progress", "", ...board.progress.map(progressLine)));
  if (board.throughput) {
    parts.push(panel(`Answers per ${board.throughput.step}`, "", chart(board.throughput, `Answers per ${board.throughput.step}`)));
  }
  if (board.answers) parts.push(agreementPanel());
  return parts;
}

function progressLine(one) {
  const share = one.wanted ? Math.min(one.given / one.wanted, 1) : 0;
  const made = html`<div class="progress"><p><b>${one.purpose}</b> <span>${whole(one.given)} of ${whole(one.wanted)} answers</span></p><div class="line"><i></i></div></div>`;
  made.querySelector("i").style.width = `${100 * share}%`;
  return made;
}

function agreementPanel() {
  const told = board.agreement;
  if (!told.questions && told.framed_alpha === null) {
    return panel("Agreement", "It shows once two people have answered the same question; raise the overlap under Projects to have that sooner.");
  }
  const lines = [];
  if (told.questions) lines.push(
    ["Krippendorff's alpha", figure(told.alpha), "1 is full agreement, 0 what chance would give"],
    ["Strongly agreed", percent(told.strong), "questions with three votes or more on which two thirds say the same"],
    ["Human ceiling", percent(told.ceiling, 1), `how often one person says what most others say; the median person ${percent(told.median_person, 1)}`],
    ["From", `${whole(told.questions)} questions`, `that two or more of ${whole(told.people)} people answered by choosing a face`],
  );
  if (told.framed_alpha !== null) lines.push(
    ["Alpha with a framed face", figure(told.framed_alpha), "of comparisons of two faces with it; an answer about eight faces stands for twelve of them, a twelfth each"],
    ["Strongly agreed there", percent(told.framed_strong), "of comparisons that three people or more made"],
  );
  const list = html`<dl></dl>`;
  lines.forEach(([name, value, words]) => list.append(html`<dt>${name}</dt>`, html`<dd><b>${value}</b> <span class="quiet">${words}</span></dd>`));
  return panel("Agreement", "", list);
}

function peopleSection() {
  const rows = board.people.map((one) => ({ ...one, reliability: board.reliability?.[one.id] ?? null, marked: one.state === "excluded" }));
  if (!board.reliability && board.answers) {
    const asked = board.project;
    call("team_reliability").then((reply) => {
      if (board.project !== asked) return;
      board.reliability = reply.reliability;
      if (section === "people") show();
    }).catch((error) => say(error.message, "wrong"));
  }
  const people = table(PEOPLE, rows, { name: "people", sort: "answers", empty: "Nobody has been invited yet." });
  return [
    row(button("Invite somebody", invite, "primary")),
    panel("People", "Excluded people's answers are kept and left out of everything that compares.", people),
  ];
}
