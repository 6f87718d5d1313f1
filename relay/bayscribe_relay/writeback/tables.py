"""Tables of the outbox, in the relay's own database.

``signed_notes`` is the signature: the note as attested. ``letters`` is its way into the
chart, ``letter_events`` what happened on it. A signed note and its letter are inserted in
one transaction, so there is no signature without a letter.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

signed_notes = sa.Table(
    "signed_notes",
    metadata,
    sa.Column("key", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.Column("note_sha256", sa.String(64), nullable=False),
    sa.Column("signed_at", sa.String(40), nullable=False),
    sa.Column("received_ns", sa.BigInteger, nullable=False),
)

letters = sa.Table(
    "letters",
    metadata,
    sa.Column("key", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("bundle", sa.LargeBinary, nullable=False),
    sa.Column("bundle_sha256", sa.String(64), nullable=False),
    sa.Column("note_sha256", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("replay", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.String(36)),
    sa.Column("lease_until_ns", sa.BigInteger, nullable=False),
    sa.Column("queued_ns", sa.BigInteger, nullable=False),
    sa.Column("received_ns", sa.BigInteger, nullable=False),
    sa.Column("accepted_ns", sa.BigInteger),
    sa.Column("settled_ns", sa.BigInteger),
    sa.Column("alerted_ns", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Index("letters_open", "state", "lease_until_ns"),
)
"""``answer`` is the gateway's last word, ``committed`` or ``rejected``, as it came."""

letter_events = sa.Table(
    "letter_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("key", sa.String(36), nullable=False, index=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)
