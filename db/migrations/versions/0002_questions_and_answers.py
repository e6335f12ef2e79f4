"""Questions and answers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "consent",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint("version", name=op.f("uq_consent_version")),
    )
    op.create_table(
        "annotator",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("passphrase_hash", sa.String(length=200), nullable=True),
        sa.Column("hub_user", sa.String(length=120), nullable=True),
        sa.Column("consent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("consented_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "role IN ('visitor', 'annotator', 'admin', 'imported')", name=op.f("ck_annotator_role_known")
        ),
        sa.CheckConstraint(
            "state IN ('active', 'paused', 'excluded', 'removed')", name=op.f("ck_annotator_state_known")
        ),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.id"], name=op.f("fk_annotator_consent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotator")),
        sa.UniqueConstraint("hub_user", name=op.f("uq_annotator_hub_user")),
        sa.UniqueConstraint("name", name=op.f("uq_annotator_name")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("gallery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backend", sa.String(length=160), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("evaluation_overlap", sa.Integer(), nullable=False),
        sa.Column("evaluation_share", sa.Double(), nullable=False),
        sa.Column("gold_share", sa.Double(), nullable=False),
        sa.Column("repeat_share", sa.Double(), nullable=False),
        sa.Column("qualification", sa.Integer(), nullable=False),
        sa.Column("sampler_mix", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.Column("on_delete", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("mode IN ('odd_one_out', 'head_two')", name=op.f("ck_project_mode_known")),
        sa.CheckConstraint("on_delete IN ('removed', 'anonymised')", name=op.f("ck_project_on_delete_known")),
        sa.CheckConstraint("state IN ('open', 'paused', 'closed')", name=op.f("ck_project_state_known")),
        sa.CheckConstraint(
            "gold_share >= 0 AND repeat_share >= 0 AND gold_share + repeat_share < 1", name=op.f("ck_project_shares")
        ),
        sa.CheckConstraint("overlap > 0 AND evaluation_overlap > 0", name=op.f("ck_project_overlap_positive")),
        sa.ForeignKeyConstraint(["gallery_id"], ["gallery.id"], name=op.f("fk_project_gallery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("name", name=op.f("uq_project_name")),
    )
    op.create_table(
        "access",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("annotator_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('invitation', 'session')", name=op.f("ck_access_kind_known")),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotator.id"], name=op.f("fk_access_annotator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_access_token_hash")),
    )
    with op.batch_alter_table("access", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_annotator_id"), ["annotator_id"], unique=False)

    op.create_table(
        "evaluation_face",
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("face_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], name=op.f("fk_evaluation_face_face_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_evaluation_face_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "face_id", name=op.f("pk_evaluation_face")),
    )
    op.create_table(
        "model_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("parent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("backend", sa.String(length=160), nullable=False),
        sa.Column("cutoff_answer_id", sa.BigInteger(), nullable=False),
        sa.Column("hyperparameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("metrics", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("promoted_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'candidate', 'promoted', 'retired', 'failed')", name=op.f("ck_model_run_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["model_run.id"], name=op.f("fk_model_run_parent_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_model_run_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_run")),
    )
    with op.batch_alter_table("model_run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_run_project_id"), ["project_id"], unique=False)

    op.create_table(
        "triplet",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("face_1_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("face_2_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("face_3_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("sampler", sa.String(length=40), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("model_run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("gold_face_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Integer(), nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('one_class', 'two_class', 'three_class', 'unknown')", name=op.f("ck_triplet_kind_known")
        ),
        sa.CheckConstraint("mode IN ('odd_one_out', 'head_two')", name=op.f("ck_triplet_mode_known")),
        sa.CheckConstraint(
            "purpose IN ('train', 'evaluation', 'gold', 'qualification')", name=op.f("ck_triplet_purpose_known")
        ),
        sa.CheckConstraint("taken >= 0 AND (wanted IS NULL OR taken <= wanted)", name=op.f("ck_triplet_overlap_kept")),
        sa.ForeignKeyConstraint(["face_1_id"], ["face.id"], name=op.f("fk_triplet_face_1_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["face_2_id"], ["face.id"], name=op.f("fk_triplet_face_2_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["face_3_id"], ["face.id"], name=op.f("fk_triplet_face_3_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["gold_face_id"], ["face.id"], name=op.f("fk_triplet_gold_face_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_run_id"], ["model_run.id"], name=op.f("fk_triplet_model_run_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_triplet_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triplet")),
        sa.UniqueConstraint("project_id", "key", name=op.f("uq_triplet_project_id_key")),
    )
    with op.batch_alter_table("triplet", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_triplet_face_1_id"), ["face_1_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_triplet_face_2_id"), ["face_2_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_triplet_face_3_id"), ["face_3_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_triplet_model_run_id"), ["model_run_id"], unique=False)
        batch_op.create_index(
            "ix_triplet_open",
            ["project_id", "rank"],
            unique=False,
            sqlite_where=sa.text("taken < wanted"),
            postgresql_where=sa.text("taken < wanted"),
        )
        batch_op.create_index("ix_triplet_purpose", ["project_id", "purpose", "rank"], unique=False)

    op.create_table(
        "assignment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("triplet_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("annotator_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("pass_number", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("display_order", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("leased_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "purpose IN ('work', 'gold', 'repeat', 'qualification', 'import')", name=op.f("ck_assignment_purpose_known")
        ),
        sa.CheckConstraint("state IN ('leased', 'answered', 'lost')", name=op.f("ck_assignment_state_known")),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotator.id"], name=op.f("fk_assignment_annotator_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_assignment_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["triplet_id"], ["triplet.id"], name=op.f("fk_assignment_triplet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sa.UniqueConstraint(
            "triplet_id", "annotator_id", "pass_number", name=op.f("uq_assignment_triplet_id_annotator_id_pass_number")
        ),
    )
    with op.batch_alter_table("assignment", schema=None) as batch_op:
        batch_op.create_index(
            "ix_assignment_leases",
            ["project_id", "expires_ms"],
            unique=False,
            sqlite_where=sa.text("state = 'leased'"),
            postgresql_where=sa.text("state = 'leased'"),
        )
        batch_op.create_index("ix_assignment_person", ["annotator_id", "project_id", "state"], unique=False)

    op.create_table(
        "answer",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("assignment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("triplet_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("annotator_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("choice", sa.String(length=20), nullable=False),
        sa.Column("face_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.String(length=400), nullable=True),
        sa.Column("response_ms", sa.Integer(), nullable=True),
        sa.Column("client", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("client_key", sa.String(length=120), nullable=False),
        sa.Column("superseded_by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(choice = 'face') = (face_id IS NOT NULL)", name=op.f("ck_answer_face_when_chosen")),
        sa.CheckConstraint(
            "choice IN ('face', 'cannot_tell', 'bad_picture', 'undo')", name=op.f("ck_answer_choice_known")
        ),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotator.id"], name=op.f("fk_answer_annotator_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignment.id"], name=op.f("fk_answer_assignment_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], name=op.f("fk_answer_face_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_answer_project_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["superseded_by_id"], ["answer.id"], name=op.f("fk_answer_superseded_by_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["triplet_id"], ["triplet.id"], name=op.f("fk_answer_triplet_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
        sa.UniqueConstraint("assignment_id", "revision", name=op.f("uq_answer_assignment_id_revision")),
        sa.UniqueConstraint("client_key", name=op.f("uq_answer_client_key")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.create_index("ix_answer_person", ["annotator_id", "project_id", "id"], unique=False)
        batch_op.create_index("ix_answer_project", ["project_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_answer_superseded_by_id"), ["superseded_by_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_answer_triplet_id"), ["triplet_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("answer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_answer_triplet_id"))
        batch_op.drop_index(batch_op.f("ix_answer_superseded_by_id"))
        batch_op.drop_index("ix_answer_project")
        batch_op.drop_index("ix_answer_person")

    op.drop_table("answer")
    with op.batch_alter_table("assignment", schema=None) as batch_op:
        batch_op.drop_index("ix_assignment_person")
        batch_op.drop_index(
            "ix_assignment_leases",
            sqlite_where=sa.text("state = 'leased'"),
            postgresql_where=sa.text("state = 'leased'"),
        )

    op.drop_table("assignment")
    with op.batch_alter_table("triplet", schema=None) as batch_op:
        batch_op.drop_index("ix_triplet_purpose")
        batch_op.drop_index(
            "ix_triplet_open", sqlite_where=sa.text("taken < wanted"), postgresql_where=sa.text("taken < wanted")
        )
        batch_op.drop_index(batch_op.f("ix_triplet_model_run_id"))
        batch_op.drop_index(batch_op.f("ix_triplet_face_3_id"))
        batch_op.drop_index(batch_op.f("ix_triplet_face_2_id"))
        batch_op.drop_index(batch_op.f("ix_triplet_face_1_id"))

    op.drop_table("triplet")
    with op.batch_alter_table("model_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_run_project_id"))

    op.drop_table("model_run")
    op.drop_table("evaluation_face")
    with op.batch_alter_table("access", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_annotator_id"))

    op.drop_table("access")
    op.drop_table("project")
    op.drop_table("annotator")
    op.drop_table("consent")
