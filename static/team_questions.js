// The questions people disagree on, for an admin to decide.
let page = null;

function questionsSection() {
  const holder = html`<div class="questions"></div>`;
  loadQuestions(holder, page?.project === board.project ? page.start : 0);
  return [panel("Most disputed", "Three people or more, the least agreed first. What you decide about a training question is learned instead of the votes; the votes and their figures stay.", holder)];
}

async function loadQuestions(holder, start) {
  holder.replaceChildren(html`<p class="quiet" role="status">Loading</p>`);
  try {
    const reply = await call("team_hardest", { start });
    page = { project: board.project, start: reply.start };
    if (!reply.count) {
      holder.replaceChildren(html`<p class="quiet">No question has three votes yet. Give questions an overlap of three or more, or wait for the evaluation questions.</p>`);
      return;
    }
    holder.replaceChildren(...reply.questions.map(questionCard), pages(holder, reply));
  } catch (error) { holder.replaceChildren(html`<p class="wrong">${error.message}</p>`); }
}

function pages(holder, reply) {
  const last = reply.start + reply.questions.length;
  const line = row(html`<span class="quiet">${reply.start + 1} to ${last} of ${reply.count}</span>`);
  if (reply.start > 0) line.prepend(button("Before", () => loadQuestions(holder, Math.max(reply.start - 10, 0))));
  if (last < reply.count) line.append(button("Next", () => loadQuestions(holder, reply.start + 10)));
  line.append(button("Download decisions", saveDecisions, "quiet-button"));
  return line;
}

async function saveDecisions() {
  const { rows } = await call("team_decisions");
  if (!rows.length) return say("Nothing has been decided yet.");
  const names = ["id", "triplet", "choice", "face", "second", "note", "by", "at"];
  const lines = [names, ...rows.map((one) => names.map((name) => name === "at" ? new Date(one.at).toISOString() : one[name]))];
  const content = lines.map((cells) => cells.map(cellOf).join(",")).join("\n") + "\n";
  window.mien.save("decisions.csv", URL.createObjectURL(new Blob([content], { type: "text/csv" })));
}

function questionCard(question) {
  const nine = question.mode === "grid";
  const total = question.faces.reduce((sum, face) => sum + face.votes, 0) / (nine ? 2 : 1);
  const words = { odd_one_out: "odd one out", head_two: "most like the first", grid: "the two most like the first" }[question.mode];
  const pair = new Set(); // of nine faces two are decided together
  const card = html`<article class="question ${question.mode}"><p class="quiet">Question ${question.triplet} · ${question.purpose} · ${question.kind} · ${words}</p><div class="three"></div><p class="decision" role="status"></p></article>`;
  question.faces.forEach((face, place) => {
    const shown = html`<figure><div class="picture"></div><div class="line"><i></i></div><figcaption>${face.votes} of ${total}</figcaption></figure>`;
    shown.querySelector("i").style.width = `${(100 * face.votes) / Math.max(total, 1)}%`;
    shown.dataset.face = face.id;
    if (question.mode !== "odd_one_out" && !place) shown.querySelector("figcaption").textContent = "framed";
    if (face.src) {
      const picture = new Image();
      picture.src = face.src;
      picture.alt = `Face ${place + 1}: ${face.votes} of ${total} votes`;
      picture.loading = "lazy";
      shown.querySelector(".picture").append(picture);
    } else {
      shown.querySelector(".picture").append(html`<span class="quiet">picture missing</span>`);
    }
    if (question.expected === face.id) shown.querySelector("figcaption").append(" · expected");
    if (nine && place) {
      shown.append(button(`Face ${place + 1}`, () => mark(card, question, face.id, pair), "quiet-button"));
    } else if (question.mode === "odd_one_out" || place) {
      shown.append(button(`Face ${place + 1}`, () => decide(card, question, { choice: "face", face: face.id }), "quiet-button"));
    }
    card.querySelector(".three").append(shown);
  });
  const note = html`<input aria-label="Why, in a few words" placeholder="Why, if you like" maxlength="400">`;
  card.append(row(
    note,
    button("Can't be told", () => decide(card, question, { choice: "cannot_tell" }), "quiet-button"),
    button("Bad picture", () => decide(card, question, { choice: "bad_picture" }), "quiet-button"),
  ));
  showDecision(card, question, question.decided);
  return card;
}

/** Mark one of eight faces; the second one decides, and one marked already loses its mark. */
async function mark(card, question, face, pair) {
  pair.delete(face) || pair.add(face);
  card.querySelectorAll("figure").forEach((one) => one.classList.toggle("chosen", pair.has(Number(one.dataset.face))));
  if (pair.size < 2) return;
  const [first, second] = pair;
  pair.clear();
  await decide(card, question, { choice: "face", face: first, second });
}

async function decide(card, question, decision) {
  const note = card.querySelector("input").value;
  const reply = await call("team_adjudicate", { triplet: question.triplet, note, ...decision });
  showDecision(card, question, reply.decided);
}

function showDecision(card, question, decided) {
  const faces = [decided?.face, decided?.second].filter(Boolean);
  card.querySelectorAll("figure").forEach((one) => one.classList.toggle("chosen", faces.includes(Number(one.dataset.face))));
  if (!decided) return;
  const places = faces.map((chosen) => question.faces.findIndex((face) => face.id === chosen) + 1).sort();
  const what = { face: `face ${places.join(" and ")}`, cannot_tell: "it can't be told", bad_picture: "a bad picture" }[decided.choice];
  card.querySelector(".decision").textContent = `Decided: ${what}${decided.note ? ` (${decided.note})` : ""}, by ${decided.by}, ${when(decided.at)}`;
}
