"""Annotators, consent and access tokens."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from db.compare_schema import Access, Annotator, Answer, Assignment, Consent, Triplet
from db.connected import Connected, now_ms
from db.errors import AlreadyThere, NotAllowed, NotThere
from db.schema import Deletion
from db.types import AnnotatorRow


class People(Connected):
    """The part of the store that knows who may answer."""

    def add_annotator(
        self, name: str, *, role: str = "annotator", passphrase_hash: str | None = None, hub_user: str | None = None
    ) -> AnnotatorRow:
        """Add a person; raises AlreadyThere when the name is taken."""
        values = {
            "name": name, "role": role, "state": "active", "passphrase_hash": passphrase_hash,
            "hub_user": hub_user, "created_ms": now_ms(),
        }  # fmt: skip
        try:
            with self._write() as connection:
                new = connection.execute(self._insert(Annotator).values(values).returning(Annotator.id)).scalar_one()
        except IntegrityError as error:
            raise AlreadyThere(f"the name {name!r} is taken") from error
        return self.annotator(int(new))

    def annotator(self, annotator_id: int) -> AnnotatorRow:
        """Return a person by id; raises NotThere."""
        with self._read() as connection:
            return _annotator(connection, annotator_id)

    def annotators(self) -> list[AnnotatorRow]:
        """Return everybody, in the order they came; visitors included."""
        with self._read() as connection:
            rows = connection.execute(select(Annotator.__table__).order_by(Annotator.id)).mappings()
            return [AnnotatorRow(**row) for row in rows]

    def find_annotator(self, *, name: str | None = None, hub_user: str | None = None) -> AnnotatorRow | None:
        """Return the person of this name or Hub account, or None."""
        matches = Annotator.name == name if name is not None else Annotator.hub_user == hub_user
        with self._read() as connection:
            row = connection.execute(select(Annotator.__table__).where(matches)).mappings().one_or_none()
        return AnnotatorRow(**row) if row else None

    def set_annotator(self, annotator_id: int, *, role: str | None = None, state: str | None = None) -> None:
        """Change a person's role or state; answers given so far stay. Raises NotThere."""
        values = {name: value for name, value in (("role", role), ("state", state)) if value is not None}
        with self._write() as connection:
            if not connection.execute(update(Annotator).where(Annotator.id == annotator_id).values(values)).rowcount:
                raise NotThere(f"there is no annotator {annotator_id}")

    def add_access(self, annotator_id: int, token: str, *, kind: str, expires_ms: int | None = None) -> None:
        """Let a token stand for a person; only its hash is kept."""
        values = {
            "annotator_id": annotator_id, "kind": kind, "token_hash": _hash(token),
            "created_ms": now_ms(), "expires_ms": expires_ms,
        }  # fmt: skip
        with self._write() as connection:
            connection.execute(self._insert(Access).values(values))

    def who(self, token: str) -> AnnotatorRow | None:
        """Return the person a token stands for, or None when it is unknown or has expired."""
        query = (
            select(Annotator.__table__)
            .join(Access, Access.annotator_id == Annotator.id)
            .where(Access.token_hash == _hash(token))
            .where((Access.expires_ms.is_(None)) | (Access.expires_ms > now_ms()))
        )
        with self._read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return AnnotatorRow(**row) if row else None

    def revoke_access(self, annotator_id: int, *, kind: str | None = None) -> int:
        """Make a person's tokens worthless and return how many there were."""
        query = delete(Access).where(Access.annotator_id == annotator_id)
        if kind is not None:
            query = query.where(Access.kind == kind)
        with self._write() as connection:
            return connection.execute(query).rowcount

    def add_consent(self, version: str, wording: str) -> int:
        """Return the id of a consent wording, added now if it is new; the words of a version never change."""
        with self._write() as connection:
            values = {"version": version, "wording": wording, "created_ms": now_ms()}
            connection.execute(self._insert(Consent).values(values).on_conflict_do_nothing())
            known = connection.execute(select(Consent.id, Consent.wording).where(Consent.version == version)).one()
        if known.wording != wording:
            raise AlreadyThere(f"consent {version!r} has other words; give the new wording a new version")
        return int(known.id)

    def give_consent(self, annotator_id: int, consent_id: int) -> None:
        """Note that a person agreed, and when."""
        values = {"consent_id": consent_id, "consented_ms": now_ms()}
        with self._write() as connection:
            connection.execute(update(Annotator).where(Annotator.id == annotator_id).values(values))

    def delete_annotator(self, annotator_id: int, *, manner: str) -> None:
        """Forget a person: `anonymised` keeps the answers without a name, `removed` takes them along."""
        with self._write() as connection:
            _annotator(connection, annotator_id)
            connection.execute(delete(Access).where(Access.annotator_id == annotator_id))
            if manner == "removed":
                self._give_back_everything(connection, annotator_id)
                connection.execute(delete(Annotator).where(Annotator.id == annotator_id))
            else:
                _anonymise(connection, annotator_id)
            values = {"subject": "annotator", "subject_id": annotator_id, "manner": manner, "created_ms": now_ms()}
            connection.execute(self._insert(Deletion).values(values))

    def _give_back_everything(self, connection: Connection, annotator_id: int) -> None:
        mine = (
            select(Assignment.triplet_id)
            .where(Assignment.annotator_id == annotator_id, Assignment.counted, Assignment.state != "lost")
            .subquery()
        )
        connection.execute(
            update(Triplet)
            .where(Triplet.id.in_(select(mine.c.triplet_id)))
            .values(taken=Triplet.taken - select(func.count()).where(mine.c.triplet_id == Triplet.id).scalar_subquery())
        )


def active(annotator: AnnotatorRow) -> AnnotatorRow:
    """Return the person, or raise NotAllowed with the reason."""
    if annotator.state == "active" and annotator.role != "imported":
        return annotator
    words = {"paused": "an admin has paused your work here", "excluded": "an admin has ended your work here"}
    raise NotAllowed(words.get(annotator.state, "this account cannot answer"))


def locked_annotator(connection: Connection, annotator_id: int) -> AnnotatorRow:
    """Return an active person, their row held until the transaction ends: one person's writes happen one by one."""
    query = select(Annotator.__table__).where(Annotator.id == annotator_id).with_for_update(key_share=True)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotThere(f"there is no annotator {annotator_id}")
    return active(AnnotatorRow(**row))


def _annotator(connection: Connection, annotator_id: int) -> AnnotatorRow:
    query = select(Annotator.__table__).where(Annotator.id == annotator_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotThere(f"there is no annotator {annotator_id}")
    return AnnotatorRow(**row)


def _anonymise(connection: Connection, annotator_id: int) -> None:
    forgotten = {
        "name": f"removed {annotator_id}", "state": "removed", "passphrase_hash": None, "hub_user": None,
        "consent_id": None, "consented_ms": None,
    }  # fmt: skip
    connection.execute(update(Annotator).where(Annotator.id == annotator_id).values(forgotten))
    said = update(Answer).where(Answer.annotator_id == annotator_id)
    connection.execute(said.values(client=None, client_key="removed-" + Answer.id.cast(Answer.client_key.type)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
