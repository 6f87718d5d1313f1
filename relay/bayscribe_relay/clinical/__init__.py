"""What the relay knows of a patient's stay, as plain types, and the tables they stand in.

What lives here: the vocabulary that the EMR feed, the encounters, the transcript, the
tracer's host, prompts, drafts, attestation, custody and pages share, and the one class that
runs statements on its tables. What may not: rules, sockets, HTML, recognition, or anything
that decides.
"""
