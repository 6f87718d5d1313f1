"""Tables of the ingest side.

``devices`` holds each device's durable mark; a batch of records moves it by
compare-and-swap in the transaction that inserts them, so two relays on one database
cannot both continue a stream. Audio stands in a table of its own, so that deleting it
by policy leaves the record (its header carries the audio's hash) and the chain whole.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("chain", sa.LargeBinary(32), nullable=False),
    sa.Column("first_seen_ns", sa.BigInteger, nullable=False),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("der", sa.LargeBinary, nullable=False),
    sa.Column("first_used_ns", sa.BigInteger, nullable=False),
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("chain", sa.LargeBinary(32), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("encounter", sa.String(32), nullable=False, index=True),
    sa.Column("header", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary(64), nullable=False),
    sa.Column("sealed_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("certificate", sa.LargeBinary(32), nullable=False),
    sa.Column("received_ns", sa.BigInteger, nullable=False),
)

payloads = sa.Table(
    "payloads",
    metadata,
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

encounters = sa.Table(
    "encounters",
    metadata,
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("encounter", sa.String(32), primary_key=True),
    sa.Column("bay", sa.String(128), nullable=False),
    sa.Column("opened_seq", sa.BigInteger, nullable=False),
    sa.Column("opened_reason", sa.String(32), nullable=False),
    sa.Column("closed_seq", sa.BigInteger),
    sa.Column("closed_reason", sa.String(32)),
    sa.Column("segments", sa.BigInteger, nullable=False),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("gap_samples", sa.BigInteger, nullable=False),
)

refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("device", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.String(32), primary_key=True),
    sa.Column("header_sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("encounter", sa.String(32), nullable=False),
    sa.Column("detail", sa.String(200), nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Column("first_ns", sa.BigInteger, nullable=False),
    sa.Column("last_ns", sa.BigInteger, nullable=False),
)
"""What was not taken, and how often it was offered: the same again adds no row."""

prompt_outcomes = sa.Table(
    "prompt_outcomes",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("prompt", sa.String(128), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("wall_ns", sa.BigInteger, nullable=False),
)
