"""Answers in and out of the Team tab: written and read by processes of their own, handed over in pieces."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.errors import WrongShape
from db.types import AnnotatorRow
from models.errors import BadInput
from studio.services import jobs
from studio.services.jobs import Job
from studio.services.team import project_of

if TYPE_CHECKING:
    from studio.context import Context

Body = dict[str, Any]
PIECE = 3 * 2**20
FORMATS = {"csv": "text/csv", "jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


def export(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Begin to write a project's answers to a file."""
    project, kind = project_of(context, body), str(body.get("format"))
    if kind not in FORMATS:
        raise WrongShape(f"answers are written as {', '.join(FORMATS)}, not {kind!r}")
    cutoff = body.get("cutoff")
    limit = ["--cutoff", str(cutoff)] if isinstance(cutoff, int) else []
    arguments = ["labels", "export", *limit, "--", project.name, f"{{folder}}/answers.{kind}"]
    safe = "".join(sign if sign.isalnum() else "-" for sign in project.name).strip("-") or "answers"
    about = {"file": f"answers.{kind}", "name": f"{safe}.{kind}", "type": FORMATS[kind]}
    return {"job": jobs.start(context.settings, arguments, about=about).name}


def take_in(context: Context, _admin: AnnotatorRow, body: Body, *, path: Path, pictures: Path | None = None) -> Body:
    """Begin to read a file of answers into a project, made now unless it is there; FEC's with a ZIP of its pictures."""
    kind, name = path.suffix.lower().removeprefix("."), str(body.get("into") or "").strip()
    if kind not in FORMATS:
        raise WrongShape(f"answers come as {', '.join(f'.{one}' for one in FORMATS)} files")
    if not 0 < len(name) <= 120:
        raise WrongShape("say into which project the answers go; a new name makes a new project")
    judging = ["--evaluation"] if body.get("evaluation") and kind == "csv" else []
    if pictures is not None and kind != "csv":
        raise WrongShape("pictures come along with FEC's .csv alone; our own files name faces that are here already")
    if pictures is not None and pictures.suffix.lower() != ".zip":
        raise WrongShape("pictures come as one .zip file")
    shown = [f"--pictures={pictures}"] if pictures is not None else []
    arguments = ["labels", "import", f"--project={name}", *judging, *shown, "--", str(path)]
    return {"job": jobs.start(context.settings, arguments).name}


def state(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return how far the writing or reading of a file is."""
    job = _job(context, body)
    told: Body = {"state": job.state, "log": _plain(job.log)}
    file = job.about.get("file")
    if file is not None:
        path = job.folder / file
        told |= {"size": path.stat().st_size if path.is_file() else 0, "name": job.about["name"]}
        told |= {"type": job.about["type"], "piece": PIECE}
    return told


def piece(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return a part of a written file as base64; after the last one the file is deleted."""
    job, start = _job(context, body), body.get("start")
    if job.state != "done" or not isinstance(start, int) or start < 0:
        raise BadInput("this file is not ready")
    path = job.folder / job.about["file"]
    with path.open("rb") as stream:
        stream.seek(start)
        content = stream.read(PIECE)
    if start + len(content) >= path.stat().st_size:
        jobs.forget(job)
    return {"content": base64.b64encode(content).decode()}


def cancel(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Stop writing or reading; an import that was stopped leaves nothing."""
    job = _job(context, body)
    job.stop()
    return {"state": "stopped"}


def _job(context: Context, body: Body) -> Job:
    return jobs.find(context.settings, str(body.get("job")))


def _plain(log: str) -> str:
    """Return what a command said, without the name of an error's class in front."""
    lines = [line.strip() for line in log.strip().splitlines() if line.strip()]
    return lines[-1].partition(": ")[2] or lines[-1] if lines else ""
