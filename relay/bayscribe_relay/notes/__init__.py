"""The draft note: what was said and charted, put into sections, each sentence with its source.

What lives here: the composer (a pure function), the check of every sentence against its
sources, and the service that keeps drafts current. What may not: signing, sending, and any
statement that was neither said nor charted.
"""
