"""Writing by FHIR R4: what the EMR allows, the transaction, the encounter's list, the read-back.

What may not live here: retries over time and dead letters (the courier's), HL7 v2.
"""
