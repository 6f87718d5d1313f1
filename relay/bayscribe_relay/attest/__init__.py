"""Signatures: what a clinician sees, signs, and what is kept of it.

What lives here: rendering the note as it will be signed, the evidence it rests on, NOTE.json,
and the one transaction that makes it a letter. What may not: composing the note, sending it.
"""
