"""The optional language model: what it is asked, how it is reached, and what of it is taken.

What lives here: the request, the HTTP client, reading an answer, and joining what passes the
check with the composed draft. What may not: any sentence that did not pass
:class:`bayscribe_relay.notes.check.Sources`, and a draft that waits for an answer.
"""
