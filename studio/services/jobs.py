"""Commands in processes of their own: the studio stays responsive, and whatever they do they cannot take it along."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import BadInput
from studio.settings import Settings, environment_of

ENTRY = "from studio.cli import app; app()"
KEPT_SECONDS = 3600
"""Folders of jobs that ended longer ago are deleted; they may hold answers with names."""
LOG_CHARACTERS = 20_000


@dataclass(frozen=True)
class Job:
    """A command that runs or has run; everything about it lies in its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """What others call it by."""
        return self.folder.name

    @property
    def log(self) -> str:
        """The end of what it said."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:] if path.is_file() else ""

    @property
    def about(self) -> dict[str, Any]:
        """What whoever started it noted."""
        found: dict[str, Any] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return found

    @property
    def state(self) -> str:
        """running, done or failed."""
        ended = _number(self.folder / "exit")
        if ended is not None:
            return "done" if ended == 0 else "failed"
        return "running" if _alive(_number(self.folder / "pid")) else "failed"

    def stop(self) -> None:
        """End the process if it is still there."""
        number = _number(self.folder / "pid")
        if self.state == "running" and number is not None:
            os.kill(number, signal.SIGTERM)


def start(
    settings: Settings,
    arguments: Sequence[str],
    *,
    name: str = "",
    about: dict[str, Any] | None = None,
    ended: Callable[[Job], None] = lambda _job: None,
) -> Job:
    """Run `mien ARGUMENTS` with the studio's settings; `{folder}` in an argument is the job's own folder.

    `ended` is told, in a thread, when the process is gone.
    """
    home = _home(settings)
    _sweep(home)
    job = Job(home / (name or secrets.token_hex(12)))
    job.folder.mkdir(parents=True)
    (job.folder / "about.json").write_text(json.dumps(about or {}), encoding="utf-8")
    command = [sys.executable, "-c", ENTRY, *(one.replace("{folder}", str(job.folder)) for one in arguments)]
    with (job.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment_of(settings),
            start_new_session=True,  # what stops the studio does not stop a fine-tuning
        )
    (job.folder / "pid").write_text(str(process.pid))

    def wait() -> None:
        code = process.wait()
        if job.folder.is_dir():
            (job.folder / "exit").write_text(str(code))
        ended(job)

    threading.Thread(target=wait, name=f"job {job.name}", daemon=True).start()
    return job


def find(settings: Settings, name: str) -> Job:
    """Return a job by its name, which comes from a browser; raises BadInput when there is none."""
    job = Job(_home(settings) / name)
    if not re.fullmatch(r"[\w-]+", name) or not (job.folder / "about.json").is_file():
        raise BadInput("This work is no longer known here; start it again.")
    return job


def forget(job: Job) -> None:
    """Delete a job's folder."""
    shutil.rmtree(job.folder, ignore_errors=True)


def _home(settings: Settings) -> Path:
    return settings.data_dir / "jobs"


def _sweep(home: Path) -> None:
    for folder in home.iterdir() if home.is_dir() else ():
        ended = folder / "exit"
        if (
            ended.is_file()
            and time.time() - ended.stat().st_mtime > KEPT_SECONDS
            and not folder.name.startswith("run-")
        ):
            shutil.rmtree(folder, ignore_errors=True)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _alive(number: int | None) -> bool:
    if number is None:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
