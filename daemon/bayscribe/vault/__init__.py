"""The durable buffer: what was recorded and the relay has not yet acknowledged.

What lives here: the layout on flash, its recovery after a power cut, its quota and its
inspection. What may not: audio, keys that open anything, the network.
"""
