"""What the appliance and the relay both hold on to.

Segment headers, the hash chain, signatures, the sealed payload and the messages
of ``bayscribe.device.v1``. Pure functions and records: nothing here opens a file
or a socket, knows a clock, or imports anything else of the product but its errors.
The formats are described byte by byte in ``docs/formats.md``.
"""
