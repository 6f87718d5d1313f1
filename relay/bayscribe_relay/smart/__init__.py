"""Who we are to a FHIR endpoint that asks for SMART Backend Services.

Both the gateway, which writes, and the feed, which reads, get their access tokens here. Nothing
of either may be known in it.
"""
