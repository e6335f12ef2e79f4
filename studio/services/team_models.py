"""Fine-tunings as an admin sees them: start, watch, stop, compare, put into use, take back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from db.errors import NotAllowed, NotThere
from db.store import Store
from db.tally import progress_of
from db.types import AnnotatorRow, ModelRunRow
from models import triplets
from models.errors import BadInput
from studio.services import finetuning, jobs, team_plots, trunk_tuning
from studio.services.jobs import Job
from studio.services.team import project_of

if TYPE_CHECKING:
    from studio.context import Context

Body = dict[str, Any]
STOPPED = "stopped"
PLOTS = {
    "accuracies": team_plots.accuracies,
    "calibration": team_plots.calibration,
    "learning": team_plots.learning,
}


def versions(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return a project's fine-tunings with their figures, the newest first, and how many answers there are to learn."""
    project = project_of(context, body)
    runs = [_settled(context, run) for run in context.store.runs(project.id)]
    given = progress_of(context.store.tally(project.id)[0]).get("train", (0, 0))[0]
    return {
        "runs": [_shown(run) for run in runs],
        "answers": given,
        "enough": triplets.ENOUGH,
        "sure": finetuning.SURE,
        "sure_over_faces": finetuning.SURE_OVER_FACES,
        "trunk": trunk_tuning.is_offered(context.settings.device),
    }


def train(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Begin a fine-tuning in a process of its own; raises BadInput while one is under way."""
    project = project_of(context, body)
    runs = [_settled(context, run) for run in context.store.runs(project.id)]
    if any(run.state == "running" for run in runs):
        raise BadInput("a fine-tuning of this project is under way; stop it first, or wait")
    trunk = body.get("trunk") is True
    if trunk and not trunk_tuning.is_offered(context.settings.device):
        raise BadInput("the trunk is fine-tuned here only on a GPU, with the extra mien[trunk]")
    run = finetuning.announce(context.store, project, trunk=trunk)
    arguments = ["finetune", "--run", str(run.id), "--", project.name]
    store = context.store
    jobs.start(
        context.settings,
        arguments,
        name=f"run-{run.id}",
        about={"run": run.id},
        ended=lambda job: _note_the_end(store, run.id, job),
    )
    return {"run": run.id}


def watch(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return how far a fine-tuning is, its log and its charts."""
    run = _settled(context, _run(context, body))
    job = _job(context, run)
    plots = {name: draw(run.metrics) for name, draw in PLOTS.items()} if "base" in run.metrics else {}
    return {"run": _shown(run), "log": job.log if job else "", "plots": plots}


def stop(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """End a fine-tuning; the model in use stays in use."""
    run = _run(context, body)
    if context.store.finish_run(run.id, state="failed", metrics={"reason": STOPPED}):
        job = _job(context, run)
        if job is not None:
            job.stop()
    return {"run": _shown(context.store.run(run.id))}


def promote(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Put a model into use that was in use before or that the paired bootstrap holds better; NotAllowed otherwise."""
    run = _run(context, body)
    if not may_promote(run):
        raise NotAllowed(
            f"run {run.id} is not surely better than the model it was compared with "
            f"({run.metrics.get('better', 0):.0%} of resamples; {finetuning.SURE:.0%} are needed), so it is kept aside"
        )
    finetuning.promote(context.store, run)
    return {"run": _shown(context.store.run(run.id))}


def roll_back(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return to the model before the one in use, or to the untouched vectors."""
    after = finetuning.roll_back(context.store, project_of(context, body))
    return {"run": _shown(after) if after else None}


def may_promote(run: ModelRunRow) -> bool:
    """Tell whether a model may be put into use by hand: it was in use before, or the paired bootstrap says so."""
    was_in_use = run.state == "retired" and run.promoted_ms is not None
    return was_in_use or (
        run.state == "candidate" and run.weights is not None and finetuning.surely_better(run.metrics)
    )


def _run(context: Context, body: Body) -> ModelRunRow:
    number = body.get("run")
    project = project_of(context, body)
    run = context.store.run(number) if isinstance(number, int) else None
    if run is None or run.project_id != project.id:
        raise NotThere(f"this project has no fine-tuning {number!r}")
    return run


def _job(context: Context, run: ModelRunRow) -> Job | None:
    try:
        return jobs.find(context.settings, f"run-{run.id}")
    except BadInput:  # started by hand, or on another machine that shares the database
        return None


def _settled(context: Context, run: ModelRunRow) -> ModelRunRow:
    """Note the end of a run whose process is gone without having said so, as after a crash of the whole machine."""
    if run.state != "running":
        return run
    job = _job(context, run)
    if job is not None and job.state != "running":
        _note_the_end(context.store, run.id, job)
        return context.store.run(run.id)
    return run


def _note_the_end(store: Store, run_id: int, job: Job) -> None:
    reason = "it ended without a result; the log may say why. The model in use was not touched"
    store.finish_run(run_id, state="failed", metrics={"reason": reason, "log": job.log[-2000:]})


def _shown(run: ModelRunRow) -> Body:
    return {name: value for name, value in asdict(run).items() if name != "weights"} | {
        "has_model": run.weights is not None,
        "may_promote": may_promote(run),
    }
