"""Prompts in the bay: when one may sound, the sounding itself, and what became of it.

What lives here: the judge of a quiet moment, the queue (a state machine without clock or
sound), the chime, playback through ALSA, and the outcomes that survive a restart. What may
not: deciding *what* is prompted (the relay's), and anything about a patient on disk or in
a log: a prompt's words live in memory alone.
"""
