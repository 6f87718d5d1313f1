"""Who speaks when: the TFLite port, voice activity, embeddings, turns and attribution.

What lives here: everything that goes through a network, and what is concluded from it.
What may not: threads, clocks and files other than the networks' own, read at load.
"""
