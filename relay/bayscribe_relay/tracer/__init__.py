"""What the record implies and the narrative does not say.

Here live the catalogue of documentation gaps (data files), its loader, and a pure evaluator
of one patient's timeline. What may not live here: clocks, I/O beyond reading the catalogue and
case files, and any decision on how a prompt reaches the clinician.
"""
