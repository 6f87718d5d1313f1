"""Real records for the buffer's tests: real keys, real chain, real seal, little audio."""

from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.segments.sealer import ChainWriter, Moment, Origin, SealedRecord
from bayscribe.stream import CutSegment
from bayscribe.units import SampleIndex
from bayscribe.wire.chain import genesis
from bayscribe.wire.seal import Kem, OpeningKey

DEVICE = "bay-07"


@dataclass
class Unit:
    """A device that makes records."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    relay: OpeningKey = field(default_factory=lambda: OpeningKey.generate(Kem.X25519))

    def writer(self, head: tuple[int, bytes] | None = None) -> ChainWriter:
        origin = Origin(DEVICE, "ab" * 16, "bay-07", "test", bytes(32))
        start = head or (0, genesis(DEVICE))
        return ChainWriter(origin, self.key, self.relay.sealing_key(), start, codec="raw16")


def encounter(unit: Unit, segments: int, samples: int = 160) -> list[SealedRecord]:
    """A whole encounter: opened, segments, closed."""
    writer = unit.writer()
    records = [writer.open_encounter("cd" * 16, "always", Moment())]
    for number in range(segments):
        pcm = np.full(samples, number, np.int16)
        records.append(writer.segment(CutSegment(SampleIndex(number * samples), pcm), Moment()))
    records.append(writer.close_encounter("stop", Moment()))
    return records
