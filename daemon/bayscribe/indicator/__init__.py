"""The light that says what the unit does: patterns, and the drivers of LED rings.

What lives here: from a state to a frame of colours, and from a frame to the bytes that a
board's maker has documented. What may not: deciding the state (the daemon's), and anything
that waits in the capture or analysis threads.
"""
