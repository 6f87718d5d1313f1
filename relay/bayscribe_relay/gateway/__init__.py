"""The gateway: the one part of the product that talks to an EMR.

What lives here: the site profiles (``config``), the server of ``bayscribe.commit.v1``
(``server``), the durable journal that gives the same key the same answer (``journal``),
the couriers that carry each note through attempt, read-back and retry (``courier``), the
shared rate limit (``limiter``), alerts, and the two writers: ``fhir`` and ``mdm``. What may
not: the relay's database, audio, anything that makes a note.
"""
