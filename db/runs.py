"""Fine-tunings: what they saw, what came out, and which one is in use."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from db.compare_schema import ModelRun
from db.connected import Connected, now_ms
from db.errors import NotAllowed, NotThere
from db.schema import Face, Vector
from db.types import Backend, ModelRunRow


class Runs(Connected):
    """The part of the store that keeps models."""

    def add_run(
        self, project_id: int, *, backend: str, cutoff_answer_id: int, hyperparameters: dict[str, Any]
    ) -> ModelRunRow:
        """Note that a fine-tuning has begun; its parent is the model in use."""
        with self._write() as connection:
            parent = _promoted(connection, project_id)
            values = {
                "project_id": project_id, "parent_id": parent, "backend": backend, "metrics": {},
                "cutoff_answer_id": cutoff_answer_id, "hyperparameters": hyperparameters, "state": "running",
                "created_ms": now_ms(),
            }  # fmt: skip
            new = connection.execute(self._insert(ModelRun).values(values).returning(ModelRun.id)).scalar_one()
        return self.run(int(new))

    def run(self, run_id: int) -> ModelRunRow:
        """Return a fine-tuning; raises NotThere."""
        with self._read() as connection:
            row = connection.execute(select(ModelRun.__table__).where(ModelRun.id == run_id)).mappings().one_or_none()
        if row is None:
            raise NotThere(f"there is no model run {run_id}")
        return ModelRunRow(**row)

    def runs(self, project_id: int) -> list[ModelRunRow]:
        """Return all fine-tunings of a project, the newest first."""
        query = select(ModelRun.__table__).where(ModelRun.project_id == project_id).order_by(ModelRun.id.desc())
        with self._read() as connection:
            return [ModelRunRow(**row) for row in connection.execute(query).mappings()]

    def promoted_runs(self) -> list[ModelRunRow]:
        """Return the models in use of all projects, the one put into use last first."""
        query = select(ModelRun.__table__).where(ModelRun.state == "promoted")
        with self._read() as connection:
            rows = connection.execute(query.order_by(ModelRun.promoted_ms.desc(), ModelRun.id.desc())).mappings()
            return [ModelRunRow(**row) for row in rows]

    def update_run(self, run_id: int, *, metrics: dict[str, Any]) -> bool:
        """Replace the figures of a run that is under way; False when it was stopped meanwhile."""
        query = update(ModelRun).where(ModelRun.id == run_id, ModelRun.state == "running").values(metrics=metrics)
        with self._write() as connection:
            return bool(connection.execute(query).rowcount)

    def finish_run(self, run_id: int, *, state: str, metrics: dict[str, Any], weights: bytes | None = None) -> bool:
        """End a run as `candidate` or `failed`; False when somebody stopped it before."""
        values = {"state": state, "metrics": metrics, "weights": weights}
        with self._write() as connection:
            query = update(ModelRun).where(ModelRun.id == run_id, ModelRun.state == "running")
            return bool(connection.execute(query.values(values)).rowcount)

    def promote_run(self, run_id: int) -> None:
        """Put a candidate or retired model into use, and the one in use aside; at once, for everybody."""
        with self._write() as connection:
            query = select(ModelRun.project_id, ModelRun.weights, ModelRun.state).where(ModelRun.id == run_id)
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is None or row.weights is None or row.state not in {"candidate", "retired", "promoted"}:
                raise NotAllowed(f"run {run_id} has no finished model to put into use")
            _retire(connection, row.project_id)
            values = {"state": "promoted", "promoted_ms": now_ms()}
            connection.execute(update(ModelRun).where(ModelRun.id == run_id).values(values))

    def retire_runs(self, project_id: int) -> None:
        """Put every model of a project aside: the untouched vectors are in use again."""
        with self._write() as connection:
            _retire(connection, project_id)

    def count_vectors(self, backend: Backend | str) -> int:
        """Return how many faces a backend has vectors of."""
        network = Backend.parse(backend) if isinstance(backend, str) else backend
        query = select(func.count()).where(Vector.backend == network.name, Vector.weight_hash == network.weight_hash)
        with self._read() as connection:
            return connection.scalar(query) or 0

    def delete_vectors(self, gallery_id: int, *, backend: Backend | str) -> int:
        """Forget what a backend said about a gallery, and return about how many faces."""
        network = Backend.parse(backend) if isinstance(backend, str) else backend
        faces = select(Face.id).where(Face.gallery_id == gallery_id)
        query = delete(Vector).where(Vector.face_id.in_(faces), Vector.backend == network.name)
        with self._write() as connection:
            return connection.execute(query.where(Vector.weight_hash == network.weight_hash)).rowcount


def _promoted(connection: Connection, project_id: int) -> int | None:
    query = select(ModelRun.id).where(ModelRun.project_id == project_id, ModelRun.state == "promoted")
    return connection.scalar(query)


def _retire(connection: Connection, project_id: int) -> None:
    in_use = (ModelRun.project_id == project_id) & (ModelRun.state == "promoted")
    connection.execute(update(ModelRun).where(in_use).values(state="retired"))
