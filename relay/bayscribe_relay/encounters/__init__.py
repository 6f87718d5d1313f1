"""Encounters: which patient is in which bay when, and whose recording it is.

What lives here: the state machine of a stay, fed by ADT movements, the clinician's tap and
corrections on the page; the rule that gives each stretch of a bay's recording to a stay; and
the commands that open and close recording in a bay. What may not: HL7 or FHIR, transcripts,
or judging anything clinical.
"""
