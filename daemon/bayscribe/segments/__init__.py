"""From beam to records: cutting at pauses, hashing, chaining, signing and sealing.

What lives here: pure stages and the writer of the chain. What may not: files, sockets,
clocks. A record leaves this folder finished; where it is kept is the vault's concern.
"""
