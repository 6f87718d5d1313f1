"""From the buffer to the relay: ``bayscribe.device.v1``, the device's side.

What lives here: the protocol as a state machine without I/O (:mod:`.core`), and the
thread that runs it over TLS 1.3 and WebSocket (:mod:`.link`). What may not: audio,
sealing, files: it reads records from whatever satisfies :class:`.outgoing.Outgoing`
and never changes a byte of them.
"""
