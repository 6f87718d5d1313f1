"""Deleting audio and transcripts by policy, with signed proofs, and holds that keep them.

What lives here: the policy, what is due by it, the erasing transactions and the daily run.
What may not: deleting records, headers, notes, letters, clinical events or the audit log,
which stay for good.
"""
