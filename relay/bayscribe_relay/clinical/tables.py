"""Tables of the clinical side; bodies are JSON of the types beside this file."""

import sqlalchemy as sa

metadata = sa.MetaData()
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

stays = sa.Table(
    "stays",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("mrn", sa.String(200), nullable=False, index=True),
    sa.Column("visit_number", sa.String(200), nullable=False),
    sa.Column("bay", sa.String(128), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("arrived_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("site", "visit_number"),
)

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("recording", sa.String(32), nullable=False, index=True),
    sa.Column("from_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger),
    sa.Column("reason", sa.String(32), nullable=False),
)

events = sa.Table(
    "clinical_events",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("id", sa.String(200), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("visit_number", sa.String(200), nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("id", "version"),
)

utterances = sa.Table(
    "utterances",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("recording", sa.String(32), nullable=False, index=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("start_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

prompts = sa.Table(
    "prompts",
    metadata,
    sa.Column("id", sa.String(160), primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fired_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

drafts = sa.Table(
    "drafts",
    metadata,
    sa.Column("stay", sa.String(32), primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("ref", sa.String(200), nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
)
"""What changed, so that a page or an engine of any relay on this database can follow."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("detail", sa.String(400), nullable=False),
    sa.Column("previous", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
)
"""Append-only: each row carries the digest of the one before it."""
