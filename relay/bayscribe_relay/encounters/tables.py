"""What the encounters are made from: all that was ever heard of a stay's whereabouts."""

import sqlalchemy as sa

metadata = sa.MetaData()
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

movements = sa.Table(
    "stay_movements",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("bay", sa.String(128)),
    sa.Column("inside", sa.Boolean, nullable=False),
    sa.Column("arrived_ns", sa.BigInteger),
    sa.Column("source", sa.String(32), nullable=False),
)

presences = sa.Table(
    "stay_presences",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("bay", sa.String(128), nullable=False, index=True),
    sa.Column("from_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger),
)
"""Made anew from a stay's movements whenever they change."""

taps = sa.Table(
    "bay_taps",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("bay", sa.String(128), nullable=False, index=True),
    sa.Column("stay", sa.String(32), nullable=False, index=True),
    sa.Column("action", sa.String(8), nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
)

corrections = sa.Table(
    "binding_corrections",
    metadata,
    sa.Column("n", _Number, primary_key=True),
    sa.Column("recording", sa.String(32), nullable=False, index=True),
    sa.Column("stay", sa.String(32), nullable=False),
    sa.Column("from_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger),
)

event_owners = sa.Table(
    "event_owners",
    metadata,
    sa.Column("event", sa.String(200), primary_key=True),
    sa.Column("stay", sa.String(32), nullable=False),
)
"""Events that a person gave to another stay: later versions follow."""

recordings = sa.Table(
    "bay_recordings",
    metadata,
    sa.Column("recording", sa.String(32), primary_key=True),
    sa.Column("device", sa.String(64), nullable=False, index=True),
    sa.Column("bay", sa.String(128), nullable=False, index=True),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("from_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger),
)
"""Wall times of the appliances' recordings, read from their records once."""
