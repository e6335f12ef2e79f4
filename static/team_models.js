// Fine-tuning: start it, watch it, compare versions, put one into use.
const STATES = { running: "under way", candidate: "kept aside", promoted: "in use", retired: "was in use", failed: "no result" };
const stateOf = (run) => run.state === "candidate" && !run.has_model ? "measured only" : STATES[run.state];
let opened = null; // the run whose report is shown
let watching = null;

const wider = (told) => told.clustered[1] - told.clustered[0] >= told.wilson[1] - told.wilson[0] ? told.clustered : told.wilson;
const accuracyOf = (told) => told?.triplets ? `${percent(told.value, 1)} (${wider(told).map((one) => (100 * one).toFixed(0)).join(" to ")})` : none;

const RUNS = [
  { key: "id", title: "Run", plain: true, shown: (run) => button(`${run.id}`, () => openRun(run.id), "link") },
  { key: "created_ms", title: "Begun", plain: true, value: (run) => run.created_ms ? new Date(run.created_ms).toISOString() : "", shown: (run) => when(run.created_ms) },
  { key: "state", title: "State", plain: true, value: (run) => stateOf(run), shown: (run) => html`<em class="tag ${run.state}">${stateOf(run)}</em>` },
  { key: "answers", title: "Answers", value: (run) => run.metrics.answers, shown: (run) => whole(run.metrics.answers) },
  { key: "cutoff_answer_id", title: "Up to answer", tip: "The newest answer it could see; an export up to it rebuilds what it learned from", shown: (run) => whole(run.cutoff_answer_id) },
  { key: "head", title: "Head", plain: true, value: (run) => run.metrics.head?.kind?.replace("_", " "), shown: (run) => run.metrics.trunk ? `${run.metrics.head.kind.replace("_", " ")} and trunk` : run.metrics.head?.kind?.replace("_", " ") ?? none },
  { key: "base", title: "Untouched", tip: "Accuracy on kept-out faces and its 95 % interval, of the vectors before any fine-tuning", value: (run) => run.metrics.base?.accuracy?.value, shown: (run) => accuracyOf(run.metrics.base?.accuracy) },
  { key: "tuned", title: "Tuned", tip: "The same for this fine-tuning", value: (run) => run.metrics.tuned?.accuracy?.value, shown: (run) => accuracyOf(run.metrics.tuned?.accuracy) },
  { key: "better", title: "Better in", tip: "Share of paired resamples in which it beats the model that was in use", value: (run) => run.metrics.tuned ? run.metrics.better : null, shown: (run) => run.metrics.tuned ? percent(run.metrics.better) : none },
];

function modelsSection() {
  const holder = html`<div class="models"><p class="quiet" role="status">Loading</p></div>`;
  loadVersions(holder);
  return [holder];
}

async function loadVersions(holder) {
  let told;
  try { told = await call("team_versions"); } catch (error) { return holder.replaceChildren(html`<p class="wrong">${error.message}</p>`); }
  const running = told.runs.find((run) => run.state === "running");
  const inUse = told.runs.find((run) => run.state === "promoted");
  const begin = button("Fine-tune now", async () => {
    const begun = await call("team_train");
    opened = begun.run;
    await loadVersions(holder);
  }, "primary");
  begin.disabled = Boolean(running);
  const deeper = button("Fine-tune with the trunk", async () => {
    opened = (await call("team_train", { trunk: true })).run;
    await loadVersions(holder);
  });
  deeper.disabled = Boolean(running);
  deeper.title = "Moves the network's last stage too, on the graphics card, and then reads every face anew";
  const words = told.answers < told.enough
    ? `Collecting: ${whole(told.answers)} training answers so far, ${whole(told.enough)} are needed before a head is fitted. Starting now only measures the untouched vectors.`
    : `${whole(told.answers)} training answers to learn from. It runs beside the studio and goes into use only if kept-out faces say it is better.`;
  const actions = told.trunk ? row(begin, deeper) : row(begin);
  if (inUse) actions.append(button("Take the model out of use", () => rollBack(holder, inUse)));
  const report = html`<div class="report"></div>`;
  holder.replaceChildren(
    panel("Learn from the answers", words, actions),
    panel("Versions", inUse ? `Run ${inUse.id} is in use: neighbours and the map follow it.` : "The untouched vectors are in use.",
      table(RUNS, told.runs.map((run) => ({ ...run, marked: run.state === "promoted" })), { name: "versions", sort: "id", empty: "Nothing has been fine-tuned yet." })),
    report,
  );
  const chosen = told.runs.find((run) => run.id === opened) ?? running ?? told.runs[0];
  if (chosen) await openRun(chosen.id);
}

async function rollBack(holder, inUse) {
  const words = "The model before it, or the untouched vectors, come back into use at once. Nothing is deleted.";
  if (!(await ask(`Take run ${inUse.id} out of use`, words, { yes: "Take it out" }))) return;
  await call("team_roll_back");
  await loadVersions(holder);
}

async function openRun(number) {
  opened = number;
  const report = root.querySelector(".report");
  if (!report) return;
  const mine = (watching = Symbol("watch"));
  for (;;) {
    const told = await call("team_watch", { run: number });
    if (watching !== mine || !report.isConnected) return;
    showReport(report, told);
    if (told.run.state !== "running") {
      if (report.dataset.ran) { delete report.dataset.ran; await loadVersions(report.closest(".models")); }
      return;
    }
    report.dataset.ran = "yes";
    do { await pause(1500); } while (!visible() && report.isConnected);
  }
}

function showReport(report, { run, log, plots }) {
  const parts = [];
  if (run.state === "running") {
    const share = run.metrics.progress ?? 0;
    const passed = Date.now() - run.created_ms;
    const left = share > 0.1 ? `, about ${Math.max(1, Math.ceil((passed * (1 - share)) / share / 60000))} min left` : "";
    const line = html`<div class="progress"><p><b>${run.metrics.step ?? "starting"}</b> <span>${percent(share)}${left}</span></p><div class="line"><i></i></div></div>`;
    line.querySelector("i").style.width = `${100 * share}%`;
    parts.push(line, row(button("Stop", async () => { await call("team_stop", { run: run.id }); })));
  } else {
    parts.push(html`<p>${verdict(run)}</p>`);
    if (run.may_promote) parts.push(row(button("Put it into use", () => promote(run), "primary")));
    parts.push(...figuresOf(run, plots));
  }
  if (log) parts.push(logOf(log, report.querySelector("details")?.open));
  report.replaceChildren(panel(`Run ${run.id}: ${stateOf(run)}`, "", ...parts));
}

function verdict(run) {
  const told = run.metrics;
  if (run.state === "failed") return `No model came of it: ${told.reason ?? "it failed"}.`;
  if (!told.tuned) return `No model came of it: ${told.reason ?? "nothing was fitted"}.`;
  const sure = `It beats the model that was in use in ${percent(told.better)} of paired resamples of the questions and in ${percent(told.better_over_faces)} of the faces`;
  return run.state === "candidate" ? `${sure}, which is not enough; it is kept aside.` : `${sure}.`;
}

async function promote(run) {
  const words = "Vectors of all galleries are moved to where this version puts them; neighbours and the map follow.";
  if (!(await ask(`Put run ${run.id} into use`, words, { yes: "Put it into use" }))) return;
  await call("team_promote", { run: run.id });
  await loadVersions(root.querySelector(".models"));
}

function figuresOf(run, plots) {
  const told = run.metrics;
  if (!told.base) return [];
  const names = [["accuracy", "All"], ["strong", "Strongly agreed"], ["one_class", "One class"], ["two_class", "Two classes"], ["three_class", "Three classes"]];
  const rows = names.filter(([name]) => told.base[name]?.triplets).map(([name, words]) => ({
    words, count: told.base[name].triplets, base: told.base[name], before: told.in_use?.[name], tuned: told.tuned?.[name],
  }));
  const column = (key, title) => ({ key, title, value: (one) => one[key]?.value, shown: (one) => accuracyOf(one[key]) });
  const columns = [{ key: "words", title: "Questions", plain: true }, { key: "count", title: "Number", shown: (one) => whole(one.count) },
    column("base", "Untouched"), column("before", "In use before"), column("tuned", "This one")]
    .filter(({ key }) => key !== "before" || (told.in_use && told.in_use.accuracy.value !== told.base.accuracy.value))
    .filter(({ key }) => key !== "tuned" || told.tuned);
  const parts = [];
  if (rows.length) {
    parts.push(html`<h4>Accuracy on kept-out faces, with the wider of Wilson's interval and the one resampled by face (95 %)</h4>`);
    if (plots.accuracies) parts.push(chart(plots.accuracies, "Accuracy by kind of question"));
    parts.push(table(columns, rows, { name: `run-${run.id}` }));
    const scores = [`chance ${percent(1 / 3, 1)}`, `human ceiling ${percent(told.ceiling?.mean, 1)}`,
      `surprise per vote ${figure((told.tuned ?? told.base).log_loss)} nats (guessing 1.10)`, `calibration error ${percent((told.tuned ?? told.base).calibration_error, 1)}`];
    parts.push(html`<p class="quiet">${scores.join(" · ")}</p>`);
  } else {
    parts.push(html`<p class="quiet">No evaluation question has been answered yet, so nothing can be judged.</p>`);
  }
  const pair = html`<div class="pair"></div>`;
  if (plots.learning) pair.append(panel("Learning curve", "What fewer answers would have given", chart(plots.learning, "Learning curve")));
  if (plots.calibration) pair.append(panel("Calibration", "Right as often as it is sure, on the dotted line", chart(plots.calibration, "Calibration")));
  if (pair.children.length) parts.push(pair);
  return parts;
}

function logOf(log, open) {
  const made = html`<details><summary>Log</summary><pre>${log}</pre></details>`;
  made.open = Boolean(open);
  return made;
}
