"""The chain-of-custody package of one encounter, from the microphone to the chart.

What lives here: the relay's custody key, reading everything about an encounter, and writing
the signed package. What may not: checks (``bayscribe_verify`` makes them, without the relay),
and anything that changes what it reads.
"""
