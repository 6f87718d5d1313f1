"""Measurements of the write-back, driven through its executables and its configuration files.

What lives here: the harness that counts signed notes in the chart while everything
fails, the latency and throughput measurements, and what they share. What may not: the
EMR itself, which the tests use as well (``tests/emr``).
"""

import sys
from pathlib import Path

# The EMR lives with the tests; measurements are started from the root of the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
