"""What all parts of the store share: transactions, and the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase

_queues: WeakKeyDictionary[Engine, threading.Lock] = WeakKeyDictionary()
_queues_lock = threading.Lock()


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Connected:
    """Transactions over one engine; a writer on SQLite holds the write lock from its first statement."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(writes=True)
        self._turn = _turn_of(engine)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._turn, self._writing.begin() as connection:
            yield connection

    def _insert(self, table: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT; both databases spell it alike."""
        if self.engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def _turn_of(engine: Engine) -> AbstractContextManager[object]:
    """Return what a writer holds: SQLite lets waiting threads starve, so within a process they queue up here."""
    if engine.dialect.name != "sqlite":
        return nullcontext()
    with _queues_lock:
        return _queues.setdefault(engine, threading.Lock())
