"""Known voices that were enrolled on the unit: sealed at rest, listed, deleted.

What lives here: the sealed store and the enrolment of a voice from the unit's own
microphones. What may not: recordings of an enrolment (only the voiceprint is ever written),
and matching voices (:mod:`bayscribe.diarize`).
"""
