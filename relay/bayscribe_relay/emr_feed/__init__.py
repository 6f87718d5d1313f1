"""The EMR feed: what the hospital's record says, received durably and made into events.

What lives here: the MLLP listener and the FHIR endpoint, the inbox that keeps every message
before it is acknowledged, the interpretation of HL7 v2 and FHIR R4 into clinical events and
stay movements, the code tables, and the worker that applies them. What may not: deciding
which patient is in which bay (``encounters``), judging what an event means (``tracer``), or
writing to the EMR (``gateway``).
"""
