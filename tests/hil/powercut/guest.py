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
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.inspect import inspect, leave_certificate
from bayscribe.vault.vault import Vault
from bayscribe.wire import chain
from bayscribe.wire.header import (
    EncounterOpened,
    Header,
    SegmentHeader,
    decode_header,
    encode_header,
)
from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import Aead, SealingKey

KEYS = Path("/opt/powercut")
FOLDER = Path("/data/unit/buffer")
BOOT = "b0" * 16
ENCOUNTER = "e0" * 16


class Unflushed(Disk):
    """The negative control: a disk that is never told to flush."""

    def _flush(self, descriptor: int) -> None:
        """Forget to."""


@dataclass(frozen=True, slots=True)
class Record:
    """A finished record."""

    seq: int
    header: bytes
    chain: bytes
    signature: bytes
    sealed: bytes


class Unit:
    """Makes the records of a device, with real keys and random bytes for audio."""

    def __init__(self) -> None:
        key = load_pem_private_key((KEYS / "device.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        self.pem = (KEYS / "device.pem").read_bytes()
        self.device = device_name(x509.load_pem_x509_certificate(self.pem))
        self.relay = SealingKey.from_text((KEYS / "relay.key").read_text())

    def record(self, head: tuple[int, bytes]) -> Record:
        """The record that continues the chain."""
        seq, previous = head[0] + 1, head[1]
        header = self._header(seq, previous)
        encoded = encode_header(header)
        sealed = b""
        if isinstance(header, SegmentHeader):
            payload = os.urandom(random.randint(1_000, 60_000))
            sealed = self.relay.seal(payload, encoded, Aead.CHACHA20_POLY1305)
        value = chain.link(previous, encoded)
        signature = chain.sign(self.key, value, chain.sealed_digest(sealed))
        return Record(seq, encoded, value, signature, sealed)

    def _header(self, seq: int, previous: bytes) -> Header:
        if seq == 1:
            return EncounterOpened(
                device=self.device,
                boot=BOOT,
                seq=seq,
                encounter=ENCOUNTER,
                previous=previous,
                monotonic_ns=seq,
                wall_ns=seq,
                clock="unknown",
                bay="bay-1",
                reason="always",
            )
        return SegmentHeader(
            device=self.device,
            boot=BOOT,
            seq=seq,
            encounter=ENCOUNTER,
            previous=previous,
            monotonic_ns=seq,
            wall_ns=seq,
            clock="unknown",
            first_sample=seq * 160,
            samples=160,
            sample_rate=16_000,
            codec="raw16",
            pcm_sha256=os.urandom(32),
            weights_sha256=chain.steering_digest(()),
            bay="bay-1",
            software="powercut",
            models_sha256=bytes(32),
        )


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
    while True:
        record = unit.record(vault.head)
        vault.append(record)
        say(f"APPENDED {record.seq} {record.chain.hex()}")
        if random.random() < 0.1:
            through = record.seq - random.randint(0, 12)
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
