"""How long audio and transcripts are kept, and the proof that they are gone.

What lives here: the policy, holds, the daily deletion and its signed proof. What may not:
deleting records, headers, notes, letters or the audit log, which stay for good.
"""
