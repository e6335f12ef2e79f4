"""How many answers are wanted is read off an index, also when there are a million."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_triplet_wanted", "triplet", ["project_id", "purpose", "wanted", "taken"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_triplet_wanted", "triplet")
