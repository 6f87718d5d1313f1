"""Inside the machine that loses its power: check the buffer, then write until the end.

Runs as the guest's first process, on the guest's own Python. Every line that it prints is
a promise that the host holds it to::

    INSPECT verdict            what an inspection says before anything is repaired
    FOUND newest acked chain   what opening the buffer found
    VERIFIED count             unacknowledged records read back: chain, signature, ciphertext
    READY                      writing begins
    APPENDED seq chain         append returned
    ACKNOWLEDGING seq          acknowledge was called
    ACKNOWLEDGED seq           acknowledge returned
"""

import os
import random
import sys
import time
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bayscribe.segments.sealer import ChainWriter, Moment, Origin, SealedRecord
from bayscribe.stream import CutSegment
from bayscribe.units import SampleIndex
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.inspect import inspect, leave_certificate
from bayscribe.vault.vault import Vault
from bayscribe.wire import chain
from bayscribe.wire.header import decode_header
from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import SealingKey

KEYS = Path("/opt/powercut")
FOLDER = Path("/data/unit/buffer")
CLOSES = 0.02
"""How likely the next record closes its encounter."""
LAG = 100
"""Most records that an acknowledgement leaves waiting."""
ACKNOWLEDGES = 0.1
"""How likely an append is followed by an acknowledgement."""


class Unflushed(Disk):
    """The negative control: a disk that is never told to flush."""

    def _flush(self, descriptor: int) -> None:
        """Forget to."""


class Unit:
    """A device that makes records: real keys, noise for audio."""

    def __init__(self) -> None:
        key = load_pem_private_key((KEYS / "device.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        self.pem = (KEYS / "device.pem").read_bytes()
        self.device = device_name(x509.load_pem_x509_certificate(self.pem))
        self.relay = SealingKey.from_text((KEYS / "relay.key").read_text())
        self._noise = np.random.default_rng()

    def writer(self, vault: Vault) -> ChainWriter:
        """Continue the chain that the buffer holds, and the encounter that is open in it."""
        origin = Origin(self.device, os.urandom(16).hex(), "bay-1", "powercut", bytes(32))
        writer = ChainWriter(origin, self.key, self.relay, vault.head, codec="raw16")
        if (found := vault.open_encounter) is not None:
            totals = (found.segments, found.samples, found.gap_samples)
            writer.resume_encounter(found.encounter, found.opened_seq, totals)
        return writer

    def record(self, writer: ChainWriter) -> SealedRecord:
        """The record that continues the chain: mostly audio, 2 to 60 kB of it."""
        now = Moment(time.monotonic_ns(), time.time_ns())
        if writer.encounter is None:
            return writer.open_encounter(os.urandom(16).hex(), "always", now)
        if random.random() < CLOSES:
            return writer.close_encounter("stop", now)
        samples = random.randint(1_000, 30_000)
        pcm = self._noise.integers(-(2**15), 2**15, samples, np.int16)
        return writer.segment(CutSegment(SampleIndex(writer.head[0] * samples), pcm), now)


def say(line: str) -> None:
    """Tell the host."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def verify(vault: Vault, unit: Unit) -> int:
    """Read everything back that is unacknowledged; how many records it is."""
    count, seq, value = 0, vault.stats().acknowledged, None
    while records := vault.pending(seq, 20):
        for record in records:
            header = decode_header(record.header)
            if header.seq != seq + 1 or value not in (None, header.previous):
                raise SystemExit(f"BROKEN chain at {header.seq}")
            seq, value = header.seq, chain.link(header.previous, record.header)
            digest = chain.sealed_digest(record.sealed)
            chain.verify_signature(unit.key.public_key(), value, digest, record.signature)
            count += 1
    if seq != vault.head[0] or value not in (None, vault.head[1]):
        raise SystemExit(f"BROKEN head: {seq} is the last that can be read")
    return count


def write(vault: Vault, unit: Unit) -> None:
    """Append and acknowledge until the power goes."""
    writer = unit.writer(vault)
    while True:
        record = unit.record(writer)
        vault.append(record)
        say(f"APPENDED {record.seq} {record.chain.hex()}")
        if random.random() < ACKNOWLEDGES:
            through = max(1, record.seq - random.randint(0, LAG))
            say(f"ACKNOWLEDGING {through}")
            vault.acknowledge(through)
            say(f"ACKNOWLEDGED {through}")


def main() -> None:
    """Everything, in the order of the promises above."""
    unit = Unit()
    control = "powercut.unflushed" in Path("/proc/cmdline").read_text()
    if (FOLDER / "state").exists() or any(FOLDER.glob("*.record")):
        say(f"INSPECT {inspect(FOLDER, KEYS / 'device.pem').verdict.value}")
    disk = Unflushed() if control else Disk()
    vault = Vault.open(FOLDER, unit.device, VaultConfig(quota_mib=64, reserve_mib=8), disk)
    if vault.damaged:
        raise SystemExit(f"BROKEN records {vault.damaged}")
    seq, value = vault.head
    say(f"FOUND {seq} {vault.stats().acknowledged} {value.hex()}")
    say(f"VERIFIED {verify(vault, unit)}")
    leave_certificate(FOLDER, unit.pem)
    say("READY")
    write(vault, unit)


if __name__ == "__main__":
    main()
