"""Tables of the feed: what was received, and what has become of it."""

import sqlalchemy as sa

metadata = sa.MetaData()
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

messages = sa.Table(
    "feed_messages",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("source", sa.String(8), nullable=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("control_id", sa.String(200), nullable=False),
    sa.Column("stamp_key", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("body_key", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("received_ns", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("visit", sa.String(200), nullable=False, server_default=""),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("feed_messages_by_state", "state", "n"),
    sa.Index("feed_messages_by_visit", "visit"),
)
"""``state``: received, done, ignored, parked, or waiting for the stay of ``visit`` to open.
``reason`` names rules, never values."""

merged = sa.Table(
    "feed_merged_patients",
    metadata,
    sa.Column("site", sa.String(64), primary_key=True),
    sa.Column("old", sa.String(200), primary_key=True),
    sa.Column("new", sa.String(200), nullable=False),
)
"""Record numbers that a merge (A40) gave up, and what stands in their place."""

unmapped = sa.Table(
    "feed_unmapped",
    metadata,
    sa.Column("site", sa.String(64), primary_key=True),
    sa.Column("context", sa.String(16), primary_key=True),
    sa.Column("system", sa.String(100), primary_key=True),
    sa.Column("code", sa.String(200), primary_key=True),
    sa.Column("display", sa.String(200), nullable=False),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Column("first_ns", sa.BigInteger, nullable=False),
    sa.Column("last_ns", sa.BigInteger, nullable=False),
    sa.Column("by_name", sa.String(64), nullable=False),
)
"""Codes that no table knows, with counts; ``by_name`` is what its name was taken for."""

subscriptions = sa.Table(
    "feed_subscriptions",
    metadata,
    sa.Column("id", sa.String(400), primary_key=True),
    sa.Column("last_event", sa.BigInteger, nullable=False),
    sa.Column("heard_ns", sa.BigInteger, nullable=False),
)
"""By subscription (``rest-hook`` for those that do not say): the highest event number that
was taken in, and when; what lies behind it is read when the next one shows a gap."""
