"""Distinct types for quantities that are easily confused.

``SampleIndex`` counts frames of the array's own clock since the daemon opened
it for the first time in this boot, gaps included; it orders everything inside
a stream. ``MonotonicNs`` is CLOCK_MONOTONIC and ``WallNs`` is CLOCK_REALTIME,
attached once, at capture. ``DbSpl`` is a level in dB re 20 µPa.
"""

from typing import NewType

SampleIndex = NewType("SampleIndex", int)
MonotonicNs = NewType("MonotonicNs", int)
WallNs = NewType("WallNs", int)
DbSpl = NewType("DbSpl", float)

SAMPLE_RATE = 16_000
"""Hz. Every stage behind capture runs at this rate: the networks were trained at it."""
