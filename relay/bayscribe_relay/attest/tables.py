"""The table of signatures, in the relay's own database."""

import sqlalchemy as sa

metadata = sa.MetaData()

signatures = sa.Table(
    "signatures",
    metadata,
    sa.Column("stay", sa.String(32), primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(36), nullable=False, unique=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""``n`` is 0 for the note and counts its addenda: a stay's note is signed once, by the key."""
