"""Writing by HL7 v2: MDM^T02 over MLLP, acknowledgements, and the query that reads it back.

What may not live here: retries over time and dead letters (the courier's), FHIR requests.
"""
