"""Tables of retention, in the relay's own database."""

import sqlalchemy as sa

metadata = sa.MetaData()

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary(64), nullable=False),
    sa.Column("certificate", sa.LargeBinary, nullable=False),
)
"""Signed proofs of deletion; append-only."""

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("stay", sa.String(32), primary_key=True),
    sa.Column("since_ns", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
)
"""Stays of which nothing is deleted until the hold is lifted."""
