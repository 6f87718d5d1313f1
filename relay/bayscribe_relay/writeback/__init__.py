"""The write-back, relay's side: an attested note on its way into the chart.

What lives here: the note that may be submitted (``note``), its form for a site (``formats``,
``cda``), the FHIR Bundle made of it (``bundle``, ``validation``), the outbox in the relay's
database (``tables``, ``letters``, ``outbox``, ``states``), group commit (``groupcommit``), the
messages of ``bayscribe.commit.v1`` (``protocol``) and the sender that keeps the channel to the
gateway (``sender``). What may not: anything that talks to an EMR. That is
:mod:`bayscribe_relay.gateway`.
"""
