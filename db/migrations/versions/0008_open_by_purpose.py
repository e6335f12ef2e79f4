"""Questions that want answers are found by purpose: those that judge models are mixed in by a share."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME, TABLE, STILL_OPEN = "ix_triplet_open", "triplet", sa.text("taken < wanted")


def upgrade() -> None:
    """Apply."""
    op.drop_index(NAME, TABLE)
    op.create_index(
        NAME, TABLE, ["project_id", "purpose", "rank"], sqlite_where=STILL_OPEN, postgresql_where=STILL_OPEN
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index(NAME, TABLE)
    op.create_index(NAME, TABLE, ["project_id", "rank"], sqlite_where=STILL_OPEN, postgresql_where=STILL_OPEN)
