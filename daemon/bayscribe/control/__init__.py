"""Control of a running unit from inside the room and from its own terminal.

What lives here: the mute switch with its memory, the button, and the local socket behind
``bayscribe mute``, ``unmute`` and ``voices``. What may not: control over a network (that
is the uplink's and the telemetry's), and anything that opens or reads a recording.
"""
