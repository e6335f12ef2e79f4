// Projects, and answers in and out.
const MODES = [["odd_one_out", "Which of three differs most"], ["head_two", "Which of two is more like the first"], ["grid", "The two of eight most like the first"]];
const SAMPLERS = [["random", "Random, a third of each kind"], ["nearest", "Near neighbours"], ["active", "Where models disagree"]];
const FORMATS = [["parquet", "Parquet, everything"], ["jsonl", "JSONL, everything"], ["csv", "CSV, as FEC's own"]];

const current = () => board.projects.find((one) => one.id === board.project);

function projectsSection() {
  const project = current();
  const parts = [row(button("New project", newProject, "primary"))];
  if (project) parts.push(panel(project.name, `${galleryName(project.gallery_id)}, read by ${project.backend || "no network"}; ${MODES.find(([mode]) => mode === project.mode)[1].toLowerCase()}`, projectForm(project)));
  else parts.push(empty("No project yet", "A project says which faces are compared, how often and by which question."));
  return parts;
}

const galleryName = (id) => board.galleries.find((one) => one.id === id)?.name ?? "a gallery that was deleted";
const number = (name, value, more) => html`<input type="number" name="${name}" value="${value}" min="${more.min}" max="${more.max}" step="${more.step ?? 1}" required>`;

function settingsFields(project) {
  const mix = project.sampler_mix;
  const total = Object.values(mix).reduce((sum, share) => sum + share, 0) || 1;
  return [
    field("Question", html`<input name="question" value="${project.question}" required maxlength="200">`),
    field("Instructions", html`<textarea name="instructions" rows="3" maxlength="2000">${project.instructions}</textarea>`),
    field("Answers per training question", number("overlap", project.overlap, { min: 1, max: 50 }), "For questions queued from now on"),
    field("Answers per evaluation question", number("evaluation_overlap", project.evaluation_overlap, { min: 1, max: 50 }), "Five or six tell how far people agree"),
    field("Gold questions, %", number("gold_share", Math.round(100 * project.gold_share), { min: 0, max: 45 })),
    field("Repeats, %", number("repeat_share", Math.round(100 * project.repeat_share), { min: 0, max: 45 })),
    field("Practice questions", number("qualification", project.qualification, { min: 0, max: 100 })),
    ...SAMPLERS.map(([name, words]) => field(`${words}, %`, number(`mix-${name}`, Math.round((100 * (mix[name] ?? 0)) / total), { min: 0, max: 100 }))),
    field("When a person is deleted, answers are", choice("on_delete", [["anonymised", "kept without a name"], ["removed", "deleted too"]], project.on_delete)),
  ];
}

function settingsOf(given) {
  return {
    question: given.question, instructions: given.instructions, on_delete: given.on_delete,
    overlap: Number(given.overlap), evaluation_overlap: Number(given.evaluation_overlap), qualification: Number(given.qualification),
    gold_share: Number(given.gold_share) / 100, repeat_share: Number(given.repeat_share) / 100,
    sampler_mix: Object.fromEntries(SAMPLERS.map(([name]) => [name, Number(given[`mix-${name}`]) / 100])),
    ...(given.state ? { state: given.state } : {}),
  };
}

function projectForm(project) {
  const form = html`<form class="settings"><div class="fields"></div><div class="row"></div></form>`;
  const states = [["open", "open"], ["paused", "paused: nobody is asked"], ["closed", "closed"]];
  form.querySelector(".fields").append(...settingsFields(project), field("The project is", choice("state", states, project.state)));
  form.querySelector(".row").append(html`<button type="submit" class="primary">Save</button>`);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await call("team_project", settingsOf(Object.fromEntries(new FormData(form))));
      await refresh();
      say("Saved.");
    } catch (error) { say(error.message, "wrong"); }
  });
  return form;
}

async function newProject() {
  const ready = board.galleries.filter((one) => one.backends.length || one.name === board.starter);
  if (!ready.length) return say("No gallery has been read yet. Open the Explore tab once, or add faces with: mien gallery add FOLDER", "wrong");
  const fresh = { question: "Which face has the most different expression?", instructions: "Ignore who it is, age, light and head pose.", overlap: 1,
    evaluation_overlap: 6, gold_share: 0.05, repeat_share: 0.05, qualification: 10, sampler_mix: { random: 1 }, on_delete: "anonymised" };
  const fields = [
    field("Name", html`<input name="name" required maxlength="120">`),
    field("Gallery", choice("gallery", ready.map((one) => [String(one.id), `${one.name} (${whole(one.faces)} faces)`]), String(ready[0].id))),
    field("People say", choice("mode", MODES, "odd_one_out")),
    field("Faces kept for evaluation, %", number("evaluation_share", 20, { min: 5, max: 60 }), "They never enter training"),
    ...settingsFields(fresh),
  ];
  const given = await ask("New project", "Gallery, kind of question and kept-out faces cannot be changed later.", { fields, yes: "Make it" });
  if (!given) return;
  say("Choosing the first questions");
  const made = await call("team_new_project", {
    name: given.name, gallery: Number(given.gallery), mode: given.mode, evaluation_share: Number(given.evaluation_share) / 100, ...settingsOf(given),
  });
  board.project = made.saved.id;
  await refresh();
  say(`${made.saved.name} is open.`);
}

// ---- answers in and out -----------------------------------------------------------------------------------------
function filesSection() {
  const parts = [];
  if (board.project !== null) {
    const kind = choice("format", FORMATS, "parquet");
    const limit = html`<input type="number" min="1" placeholder="all" aria-label="Up to answer number">`;
    const status = html`<div class="job" role="status"></div>`;
    const begin = button("Write the file", () => exportAnswers(kind.value, limit.value, status), "primary");
    parts.push(panel("Take the answers along", "Every answer ever given, also those taken back. An export up to a run's newest answer rebuilds what that run learned from.",
      row(field("Format", kind), field("Up to answer", limit), begin), status));
  }
  const file = html`<input type="file" accept=".csv,.jsonl,.parquet" aria-label="File of answers">`;
  const into = html`<input maxlength="120" value="${current()?.name ?? ""}" aria-label="Project">`;
  const pictures = html`<input type="file" accept=".zip" aria-label="ZIP file of pictures">`;
  const judging = html`<input type="checkbox">`;
  const status = html`<div class="job" role="status"></div>`;
  const read = button("Read it in", () => importAnswers(file, pictures, into.value, judging.checked, status), "primary");
  parts.push(panel("Bring answers", "FEC's CSV, or our JSONL or Parquet. A broken row is named with its line, and nothing of its file is kept. FEC's CSV names pictures: send your copies in one ZIP of up to 200 MB, or on this machine run: mien labels import FILE --project NAME --pictures FOLDER",
    row(field("File", file), field("Pictures, CSV alone", pictures, "A ZIP; found by their file names"), field("Into project", into, "A new name makes a new project"), field("These questions only judge", judging, "CSV alone: never train")), row(read), status));
  return parts;
}

async function follow(job, status, words) {
  let cancelled = false;
  const stop = button("Cancel", async () => { cancelled = true; await call("team_cancel", { job }); });
  const line = html`<span></span>`;
  status.replaceChildren(row(line, stop));
  for (const began = Date.now(); ;) {
    const told = await call("team_file", { job });
    if (told.state !== "running") {
      status.replaceChildren();
      if (cancelled) throw new Error("Cancelled; nothing was kept.");
      if (told.state === "failed") throw new Error(told.log || "It did not work, and did not say why.");
      return told;
    }
    line.textContent = `${told.log || words}: ${told.size ? `${size(told.size)}, ` : ""}${Math.round((Date.now() - began) / 1000)} s`;
    await pause(500);
  }
}

async function exportAnswers(format, limit, status) {
  say("");
  const { job } = await call("team_export", { format, cutoff: limit ? Number(limit) : null });
  const told = await follow(job, status, "Writing");
  const parts = [];
  for (let start = 0; start < Math.max(told.size, 1); start += told.piece) {
    status.textContent = `Fetching ${size(start)} of ${size(told.size)}`;
    const { content } = await call("team_piece", { job, start });
    parts.push(Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0)));
  }
  window.mien.save(told.name, URL.createObjectURL(new Blob(parts, { type: told.type })));
  status.textContent = `${told.name}: ${told.log}, ${size(told.size)}`;
}

async function importAnswers(file, pictures, into, evaluation, status) {
  if (!file.files.length) return say("Choose a file first.", "wrong");
  say("");
  status.textContent = "Sending";
  let sent, shown = null;
  try {
    sent = await upload(file.files[0]);
    if (pictures.files.length) {
      status.textContent = `Sending ${size(pictures.files[0].size)} of pictures`;
      shown = await upload(pictures.files[0]);
    }
  }
  catch { status.textContent = ""; return say("The file did not arrive. It may be larger than 200 MB, or the connection broke.", "wrong"); }
  try {
    const { job } = await call("team_import", { path: sent.path, pictures: shown?.path ?? null, into, evaluation });
    const told = await follow(job, status, "Reading");
    await refresh();
    say(told.log);
  } catch (error) { status.replaceChildren(); throw error; }
}
