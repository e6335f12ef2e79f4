"""The Team tab: how the answers come along, who gives them, where people disagree, and what models learn from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from db.types import AnnotatorRow
from models.errors import BadInput
from studio.components.doors import Doors
from studio.components.team_board import TeamBoard
from studio.context import Context
from studio.services import access, team, team_files, team_models, team_people, team_projects
from studio.tabs.compare import in_words

TITLE = "Team"

Body = dict[str, Any]
Call = Callable[[Body], Body]
CALLS: dict[str, Callable[[Context, AnnotatorRow, Body], Body]] = {
    "team_overview": team.overview,
    "team_count": team.count_on,
    "team_reliability": team.reliability,
    "team_hardest": team.hardest,
    "team_adjudicate": team.adjudicate,
    "team_decisions": team.decisions,
    "team_invite": team_people.invite,
    "team_person": team_people.change,
    "team_new_project": team_projects.make,
    "team_project": team_projects.change,
    "team_versions": team_models.versions,
    "team_train": team_models.train,
    "team_watch": team_models.watch,
    "team_stop": team_models.stop,
    "team_promote": team_models.promote,
    "team_roll_back": team_models.roll_back,
    "team_export": team_files.export,
    "team_file": team_files.state,
    "team_piece": team_files.piece,
    "team_cancel": team_files.cancel,
}
"""What the board may ask for; nothing of it is answered to anybody but an admin."""


def build(context: Context) -> Doors:
    """Lay out the tab; each call takes what the browser sent and returns what it shows."""
    store = context.store

    def team_open(body: Body) -> Body:
        token = body.get("token")
        if body.get("invitation"):
            token = access.accept_invitation(store, str(body["invitation"]))
        person = store.who(str(token)) if token else None
        if person is None or not person.is_admin:
            return {
                "state": "closed",
                "token": token if person else None,
                "name": person.name if person else None,
                "hub": context.settings.on_spaces,
            }
        return {"state": "open", "token": token} | team.overview(context, person, body)

    def team_sign_in(body: Body) -> Body:
        token = access.sign_in(store, str(body.get("name", "")), str(body.get("passphrase", "")))
        return team_open(body | {"token": token, "invitation": None})

    def team_import(body: Body) -> Body:
        person = access.admin(store, str(body.get("token") or ""))
        pictures = _uploaded(body["pictures"]) if body.get("pictures") else None
        return team_files.take_in(context, person, body, path=_uploaded(body.get("path")), pictures=pictures)

    checked = [_for_admins(context, name, do) for name, do in CALLS.items()]
    TeamBoard([in_words(call) for call in (team_open, team_sign_in, team_import, *checked)])
    return Doors()


def _for_admins(context: Context, name: str, do: Callable[[Context, AnnotatorRow, Body], Body]) -> Call:
    def call(body: Body) -> Body:
        return do(context, access.admin(context.store, str(body.get("token") or "")), body)

    call.__name__ = name  # what the board's script calls it
    return call


def _uploaded(given: Any) -> Path:
    """Return the path of a file the browser has sent; raises BadInput for any other path."""
    path, folder = Path(str(given)).resolve(), Path(get_upload_folder()).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise BadInput("The file did not arrive. Send it again.")
    return path
