"""Sessions, failed logins and kept words, in the relay's database: any relay on it knows them."""

import sqlalchemy as sa

metadata = sa.MetaData()

sessions = sa.Table(
    "web_sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("person", sa.LargeBinary, nullable=False),
    sa.Column("source", sa.String(8), nullable=False),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("seen_ns", sa.BigInteger, nullable=False),
    sa.Column("locked", sa.Boolean, nullable=False),
)
"""``digest`` is the SHA-256 of the cookie's value: who reads the table can enter as nobody."""

failures = sa.Table(
    "web_login_failures",
    metadata,
    sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("subject", sa.String(64), nullable=False, index=True),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
)
"""``subject`` is a digest of an account's name, an address, or both."""

kept_words = sa.Table(
    "web_kept_words",
    metadata,
    sa.Column("actor", sa.String(400), primary_key=True),
    sa.Column("stay", sa.String(32), primary_key=True),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
)
"""What a person had written of an addendum when the session ran out."""
