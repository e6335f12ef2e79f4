"""All faces kept out of training decide about a model and report on it; they are no longer in two parts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("evaluation_face") as batch:
        batch.drop_constraint(op.f("ck_evaluation_face_part_known"), type_="check")
        batch.drop_column("part")


def downgrade() -> None:
    """Undo; every face is in the part that reports, which then decides as well."""
    with op.batch_alter_table("evaluation_face") as batch:
        batch.add_column(sa.Column("part", sa.String(length=20), server_default="report", nullable=False))
        batch.create_check_constraint(op.f("ck_evaluation_face_part_known"), "part IN ('decide', 'report')")
