"""A decision about nine faces names two of them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("adjudication") as batch:
        batch.add_column(sa.Column("second_face_id", IDENTIFIER, nullable=True))
        batch.create_foreign_key(
            op.f("fk_adjudication_second_face_id"), "face", ["second_face_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    """Undo; decisions about nine faces go."""
    op.execute("DELETE FROM adjudication WHERE second_face_id IS NOT NULL")
    with op.batch_alter_table("adjudication") as batch:
        batch.drop_constraint(op.f("fk_adjudication_second_face_id"), type_="foreignkey")
        batch.drop_column("second_face_id")
