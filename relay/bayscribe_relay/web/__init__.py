"""The pages of the relay: the clinician's, the operator's, the reviewer's.

What lives here: the HTTPS server, logins and sessions, the templates with their style sheet
and scripts, what a person does with a draft, a prompt or a turn, and play-back. What may not:
composing or rendering notes, attestation, the rules of stays, the write-back: those are asked
through :mod:`bayscribe_relay.web.parts`.
"""
