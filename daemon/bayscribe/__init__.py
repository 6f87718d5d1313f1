"""Bayscribe, the appliance of one emergency-department bay.

What lives here: the stages that lead from the microphones to the relay's disk,
each a plain class with ``push(block) -> results``, and the shells (threads,
sockets, commands) that wire them. What may not: anything of the relay.
"""

__version__ = "0.1.0"
