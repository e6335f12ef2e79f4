"""Projects as an admin makes and changes them; every value comes from a browser and is checked."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from db.errors import WrongShape
from db.types import AnnotatorRow, NewProject
from studio.services import compare, gallery
from studio.services.team import project_of
from studio.services.tuned import expression_networks

if TYPE_CHECKING:
    from studio.context import Context

Body = dict[str, Any]
MODES = ("odd_one_out", "head_two", "grid")
SAMPLERS = ("random", "nearest", "active")
STATES = ("open", "paused", "closed")
WHOLE = {"overlap": (1, 50), "evaluation_overlap": (1, 50), "qualification": (0, 100)}
SHARES = {"gold_share": 0.5, "repeat_share": 0.5, "evaluation_share": 0.6}
WORDS = {"question": 200, "instructions": 2000}


def make(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Start a project on a gallery and queue its first questions; raises AlreadyThere, or WrongShape."""
    given = _checked(body)
    name = str(body.get("name") or "").strip()
    if not 0 < len(name) <= 120:
        raise WrongShape("a project needs a name of up to 120 characters")
    if body.get("mode") not in MODES:
        raise WrongShape(f"a project's mode is one of {', '.join(MODES)}")
    chosen = next((row for row in context.store.galleries() if row.id == body.get("gallery")), None)
    if chosen is None:
        raise WrongShape("choose a gallery; `mien gallery add FOLDER` makes one")
    if chosen.name == gallery.STARTER:
        gallery.ensure_starter_gallery(context)
    backends = expression_networks(context.store, chosen.id)
    backend = str(body.get("backend") or "") or next((one for one in backends if "+run" not in one), "")
    if backend not in backends:
        raise WrongShape("no network has read the faces of this gallery yet; open it in Explore first")
    names = {field.name for field in fields(NewProject)} & set(given)
    values = {field: given[field] for field in names}
    made = compare.start_project(
        context.store, NewProject(name, chosen.id, backend, mode=str(body["mode"]), **values), seed=chosen.id
    )
    if given.get("state") not in (None, "open"):
        made = context.store.update_project(made.id, state=given["state"])
    return {"saved": asdict(made)}


def change(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Change a project; name, gallery, vectors, mode and which faces are kept out stay as they are."""
    given = _checked(body)
    given.pop("evaluation_share", None)
    return {"saved": asdict(context.store.update_project(project_of(context, body).id, **given))}


def _checked(body: Body) -> Body:
    found: Body = {}
    for name, longest in WORDS.items():
        if name in body:
            found[name] = str(body[name]).strip()[:longest]
            if not found[name] and name == "question":
                raise WrongShape("a project needs a question")
    for name, (least, most) in WHOLE.items():
        if name in body:
            found[name] = int(_number(body[name], name, least, most))
    for name, highest in SHARES.items():
        if name in body:
            found[name] = _number(body[name], name, 0, highest)
    if "sampler_mix" in body:
        found["sampler_mix"] = _mix(body["sampler_mix"])
    for name, allowed in (("state", STATES), ("on_delete", ("removed", "anonymised"))):
        if name in body:
            if body[name] not in allowed:
                raise WrongShape(f"{name} is one of {', '.join(allowed)}, not {body[name]!r}")
            found[name] = body[name]
    return found


def _mix(given: Any) -> dict[str, float]:
    if not isinstance(given, dict) or set(given) - set(SAMPLERS):
        raise WrongShape(f"the mix names {', '.join(SAMPLERS)} and their shares")
    mix = {name: _number(share, name, 0, 1) for name, share in given.items()}
    mix = {name: share for name, share in mix.items() if share > 0}
    if not mix:
        raise WrongShape("at least one way of choosing questions needs a share above zero")
    return mix


def _number(value: Any, name: str, least: float, most: float) -> float:
    words = name.replace("_", " ")
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise WrongShape(f"{words} is a number from {least} to {most}, not {value!r}")
    return float(value)
