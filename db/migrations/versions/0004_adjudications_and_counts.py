"""What admins decide about hard questions, and answers added up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "adjudication",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("triplet_id", IDENTIFIER, nullable=False),
        sa.Column("annotator_id", IDENTIFIER, nullable=True),
        sa.Column("choice", sa.String(length=20), nullable=False),
        sa.Column("face_id", IDENTIFIER, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "choice IN ('face', 'cannot_tell', 'bad_picture')", name=op.f("ck_adjudication_choice_known")
        ),
        sa.CheckConstraint("(choice = 'face') = (face_id IS NOT NULL)", name=op.f("ck_adjudication_face_when_chosen")),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotator.id"], name=op.f("fk_adjudication_annotator_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], name=op.f("fk_adjudication_face_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_adjudication_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["triplet_id"], ["triplet.id"], name=op.f("fk_adjudication_triplet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjudication")),
    )
    op.create_index("ix_adjudication_project", "adjudication", ["project_id", "id"])
    op.create_index(op.f("ix_adjudication_triplet_id"), "adjudication", ["triplet_id"])
    op.create_table(
        "counted",
        sa.Column("project_id", IDENTIFIER, nullable=False),
        sa.Column("to_answer_id", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_counted_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_counted")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("counted")
    op.drop_table("adjudication")
