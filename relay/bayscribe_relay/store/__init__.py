"""The relay's durable store: SQLite by default, PostgreSQL by URL.

What lives here: the tables, and every statement that ingest and the commands run on
them. Sealed audio is stored as it came, sealed. What may not: verification, sockets,
decryption.
"""
