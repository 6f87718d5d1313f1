"""Proofs that audio or transcripts are gone, and holds that keep them.

What lives here: the tables that the custody package reads. Nothing deletes yet: what a policy,
a daily deletion and its signed proof need belongs here too. What may not: deleting records,
headers, notes, letters or the audit log, which stay for good.
"""
