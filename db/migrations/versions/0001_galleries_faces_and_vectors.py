"""Galleries, faces and vectors."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "deletion",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject", sa.String(length=20), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("manner", sa.String(length=20), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("manner IN ('removed', 'anonymised')", name=op.f("ck_deletion_manner_known")),
        sa.CheckConstraint("subject IN ('face', 'annotator')", name=op.f("ck_deletion_subject_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion")),
    )
    op.create_table(
        "gallery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("licence", sa.String(length=120), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gallery")),
        sa.UniqueConstraint("name", name=op.f("uq_gallery_name")),
    )
    op.create_table(
        "picture",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=40), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.CheckConstraint("(content IS NULL) <> (path IS NULL)", name=op.f("ck_picture_content_or_path")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_picture")),
    )
    op.create_table(
        "face",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("gallery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=600), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("box", sa.JSON(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("identity", sa.String(length=200), nullable=True),
        sa.Column("consent", sa.String(length=200), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["gallery_id"], ["gallery.id"], name=op.f("fk_face_gallery_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sha256"], ["picture.sha256"], name=op.f("fk_face_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_face")),
        sa.UniqueConstraint("gallery_id", "key", name=op.f("uq_face_gallery_id_key")),
    )
    with op.batch_alter_table("face", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_face_sha256"), ["sha256"], unique=False)

    op.create_table(
        "vector",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("face_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backend", sa.String(length=80), nullable=False),
        sa.Column("weight_hash", sa.String(length=64), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("dimension > 0", name=op.f("ck_vector_dimension_positive")),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], name=op.f("fk_vector_face_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector")),
        sa.UniqueConstraint("face_id", "backend", "weight_hash", name=op.f("uq_vector_face_id_backend_weight_hash")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("vector")
    with op.batch_alter_table("face", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_face_sha256"))

    op.drop_table("face")
    op.drop_table("picture")
    op.drop_table("gallery")
    op.drop_table("deletion")
