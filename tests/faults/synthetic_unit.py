"""A unit without microphones: the real buffer and the real uplink, made-up segments.

What it claims goes into a ledger, line by line and unbuffered: ``appended SEQ CHAIN``
after the buffer said that a record is durable, ``acknowledged SEQ`` when the relay said
that it has it. The ledger survives a kill of this process, and is what it is held to.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.core import Identity
from bayscribe.uplink.link import Uplink
from bayscribe.vault.recordfile import BufferedRecord
from bayscribe.vault.vault import Vault
from bayscribe.wire.chain import link
from bayscribe.wire.header import decode_header
from bayscribe.wire.seal import SealingKey
from bayscribe_relay.pki.files import load_key
from faults.recorder import BOOT, Record, Recorder


class LedgeredVault:
    """The buffer, with every acknowledgement written down before it is acted upon."""

    def __init__(self, vault: Vault, ledger: int) -> None:
        self._vault = vault
        self._ledger = ledger

    @property
    def head(self) -> tuple[int, bytes]:
        return self._vault.head

    def pending(self, after_seq: int, limit: int) -> Sequence[BufferedRecord]:
        return self._vault.pending(after_seq, limit)

    def acknowledge(self, through: int) -> None:
        os.write(self._ledger, f"acknowledged {through}\n".encode())
        self._vault.acknowledge(through)


class Chained(msgspec.Struct, frozen=True):
    """A record as the buffer takes it."""

    seq: int
    header: bytes
    chain: bytes
    signature: bytes
    sealed: bytes


def chained(record: Record) -> Chained:
    header = decode_header(record.header)
    value = link(header.previous, record.header)
    return Chained(header.seq, record.header, value, record.signature, record.sealed)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--vault", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--uplink", required=True, help="the [uplink] table as JSON")
    parser.add_argument("--sealing", type=Path, required=True)
    parser.add_argument("--pace-s", type=float, default=0.004)
    parser.add_argument("--until", type=Path, required=True, help="drain and end once it exists")
    options = parser.parse_args()
    config = msgspec.json.decode(options.uplink, type=UplinkConfig)
    ledger = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    vault = Vault.open(options.vault, options.name)
    uplink = Uplink(config, Identity(options.name, BOOT, "0.1.0", {}), LedgeredVault(vault, ledger))
    uplink.start()
    record(options, config, vault, ledger, uplink)
    while vault.stats().pending:
        time.sleep(0.02)
    uplink.stop()
    vault.close()
    return 0


def record(
    options: argparse.Namespace, config: UplinkConfig, vault: Vault, ledger: int, uplink: Uplink
) -> None:
    """Recordings without end, continuing the chain that the buffer recovered."""
    sealing = SealingKey.from_text(options.sealing.read_text())
    seq, value = vault.head
    recorder = Recorder(options.name, load_key(Path(config.key)), sealing, seq, value)
    chance = random.Random()

    def keep(made: Record) -> None:
        record = chained(made)
        vault.append(record)
        os.write(ledger, f"appended {record.seq} {record.chain.hex()}\n".encode())
        uplink.wake()
        time.sleep(chance.uniform(0, 2 * options.pace_s))

    if (found := vault.open_encounter) is not None:
        recorder.encounter, recorder.opened_seq = found.encounter, found.opened_seq
        recorder.segments, recorder.samples = found.segments, found.samples
        keep(recorder.close("recovered"))
    while not options.until.exists():
        keep(recorder.open(chance.randbytes(16).hex()))
        for _ in range(chance.randrange(1, 20)):
            keep(recorder.segment(chance.randrange(160, 16_000)))
        keep(recorder.close())


if __name__ == "__main__":
    sys.exit(main())
