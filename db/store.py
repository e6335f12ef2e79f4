"""The only SQL in the house, in one object whose methods are verbs."""

from __future__ import annotations

from db.answers import Answers
from db.ballots import BallotBox
from db.decisions import Decisions
from db.exchange import Exchange
from db.people import People
from db.projects import Projects
from db.queue import Queue
from db.runs import Runs
from db.team import Team


class Store(Exchange, People, Projects, Queue, Answers, BallotBox, Runs, Team, Decisions):
    """Everything Mien remembers: `Store(open_database(url))`; safe to share between threads."""
