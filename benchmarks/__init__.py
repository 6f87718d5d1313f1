"""Every figure that the README quotes, one module each: ``./run bench [NAME]``.

A benchmark prints its figures with the protocol, the digest of the data and the digests
of the networks, as ratios against a peer or a physical limit where there is one.
"""
