"""What a unit needs from its site before and beside its stream: identity and updates.

What lives here: the HTTPS listener that certifies a new unit for a one-time token, and hands
out update bundles to units that have a certificate. It holds the authority's key, so it is a
service of its own, apart from the ingest. What may not live here: the store, and anything
about a patient.
"""
