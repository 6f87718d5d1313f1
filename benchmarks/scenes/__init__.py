"""Synthetic emergency-bay recordings with exact ground truth.

What lives here: the generator (``render.py``) that speaks a script with free
text-to-speech voices, places the talkers in an image-source room around a
microphone array, adds a department's noise at a calibrated level and writes
recording, reference and geometry; the scripts; and the check that the result
is what it claims to be. What may not: anything that the product imports, and
any recording of a real person in care. The generator has an environment of its
own (``requirements.txt``); nothing of it is needed to use its recordings.
"""
