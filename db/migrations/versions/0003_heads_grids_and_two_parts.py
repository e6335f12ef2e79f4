"""Questions with nine faces, what a sampler knew, and evaluation faces in two parts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEW_MODES = "mode IN ('odd_one_out', 'head_two', 'grid')"
OLD_MODES = "mode IN ('odd_one_out', 'head_two')"
ANSWERS: dict[str, Any] = {"table_kwargs": {"sqlite_autoincrement": True}}
"""SQLite rebuilds the table; that no id is used twice has to be said again."""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "candidate",
        sa.Column("triplet_id", IDENTIFIER, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("face_id", IDENTIFIER, nullable=False),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], name=op.f("fk_candidate_face_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["triplet_id"], ["triplet.id"], name=op.f("fk_candidate_triplet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("triplet_id", "place", name=op.f("pk_candidate")),
    )
    op.create_index(op.f("ix_candidate_face_id"), "candidate", ["face_id"])
    with op.batch_alter_table("project") as batch:
        _change_modes(batch, "project", NEW_MODES)
    with op.batch_alter_table("triplet") as batch:
        _change_modes(batch, "triplet", NEW_MODES)
        batch.add_column(sa.Column("model_version", sa.String(length=200), nullable=True))
    with op.batch_alter_table("assignment") as batch:
        batch.alter_column("display_order", type_=sa.String(length=9), existing_type=sa.String(length=3))
        batch.create_index("ix_assignment_turn", ["annotator_id", "project_id", "purpose", "id"])
    with op.batch_alter_table("evaluation_face") as batch:
        batch.add_column(sa.Column("part", sa.String(length=20), server_default="report", nullable=False))
        batch.create_check_constraint(op.f("ck_evaluation_face_part_known"), "part IN ('decide', 'report')")
    with op.batch_alter_table("answer", **ANSWERS) as batch:
        batch.add_column(sa.Column("second_face_id", IDENTIFIER, nullable=True))
        batch.create_foreign_key(
            op.f("fk_answer_second_face_id"), "face", ["second_face_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    """Undo; projects and questions with nine faces go."""
    op.execute("DELETE FROM triplet WHERE mode = 'grid'")
    op.execute("DELETE FROM project WHERE mode = 'grid'")
    with op.batch_alter_table("answer", **ANSWERS) as batch:
        batch.drop_constraint(op.f("fk_answer_second_face_id"), type_="foreignkey")
        batch.drop_column("second_face_id")
    with op.batch_alter_table("evaluation_face") as batch:
        batch.drop_constraint(op.f("ck_evaluation_face_part_known"), type_="check")
        batch.drop_column("part")
    with op.batch_alter_table("assignment") as batch:
        batch.drop_index("ix_assignment_turn")
        batch.alter_column("display_order", type_=sa.String(length=3), existing_type=sa.String(length=9))
    with op.batch_alter_table("triplet") as batch:
        batch.drop_column("model_version")
        _change_modes(batch, "triplet", OLD_MODES)
    with op.batch_alter_table("project") as batch:
        _change_modes(batch, "project", OLD_MODES)
    op.drop_table("candidate")


def _change_modes(batch: Any, table: str, rule: str) -> None:
    batch.drop_constraint(op.f(f"ck_{table}_mode_known"), type_="check")
    batch.create_check_constraint(op.f(f"ck_{table}_mode_known"), rule)
