"""Durable appends, recovery and write volume of the unit's buffer.

Protocol: real records (raw PCM of 5 s, sealed with the hybrid KEM, signed, chained) into a
real buffer on this machine's disk, one flush of content and folder each; the peer in the
same run is a bare file of the same size, written and flushed. Recovery is the time to open
a buffer that was left as by a power cut. Write volume is the buffer's own count.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.segments.sealer import ChainWriter, Moment, Origin, SealedRecord
from bayscribe.stream import CutSegment
from bayscribe.units import SampleIndex
from bayscribe.vault.vault import Vault
from bayscribe.wire.chain import genesis
from bayscribe.wire.seal import OpeningKey

RECORDS = 300
SAMPLES = 5 * 16_000
DEVICE = "bench"


def main() -> int:
    """Measure and print."""
    records = _records()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bare = [_bare(Path(folder) / f"{n}.bin", record) for n, record in enumerate(records)]
        vault = Vault.open(Path(folder) / "buffer", DEVICE)
        appends = [_timed(partial(vault.append, record)) for record in records]
        vault.close()
        began = time.perf_counter()
        again = Vault.open(Path(folder) / "buffer", DEVICE)
        opened = time.perf_counter() - began
        acknowledged = _timed(lambda: again.acknowledge(RECORDS))
        stats = again.stats()
        again.close()
    size = statistics.mean(len(record.sealed) for record in records)
    ours, plain = statistics.median(appends), statistics.median(bare)
    print(f"{RECORDS} records of {size / 1000:.0f} kB, hybrid seal, on this disk")
    print(f"  append, durable      median {ours * 1e3:.2f} ms = {ours / plain:.1f} x a bare file")
    print(f"  recovery             {opened * 1e3 / RECORDS:.3f} ms a record")
    print(f"  acknowledge + erase  {acknowledged * 1e3 / RECORDS:.2f} ms a record")
    share = stats.written_bytes / (size * RECORDS)
    print(f"  written to the disk  {share:.2f} x the sealed audio")
    return 0


def _records() -> list[SealedRecord]:
    key = ec.generate_private_key(ec.SECP256R1())
    origin = Origin(DEVICE, "0" * 32, DEVICE, "bench", bytes(32))
    relay = OpeningKey.generate().sealing_key()
    writer = ChainWriter(origin, key, relay, (0, genesis(DEVICE)), codec="raw16")
    records = [writer.open_encounter("0" * 32, "bench", Moment())]
    pcm = np.random.default_rng(1).integers(-300, 300, SAMPLES).astype(np.int16)
    cuts = (CutSegment(SampleIndex(n * SAMPLES), pcm) for n in range(RECORDS - 1))
    return records + [writer.segment(cut, Moment()) for cut in cuts]


def _bare(path: Path, record: SealedRecord) -> float:
    def write() -> None:
        with path.open("wb") as file:
            file.write(record.sealed)
            file.flush()
            os.fsync(file.fileno())

    return _timed(write)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
