"""The known answer of the fixed-point beam: prints the SHA-256 of what it makes here.

    PYTHONPATH=daemon python tests/dsp/beam_golden.py [--check]

It needs numpy alone and goes through no floating-point design: samples come from an
integer generator, weights from the two files in golden/. The same hash must come out
on every CPU, BLAS and numpy. With --check the exit status says whether it does.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayscribe.dsp.beam import FixedPointBeam
from bayscribe.dsp.weights import WeightSet
from bayscribe.units import SampleIndex

GOLDEN = Path(__file__).parent / "golden"
MICS = 4
FRAMES = 48_000
CHUNK = 1600


def samples() -> NDArray[np.int16]:
    """Integer noise over the whole int16 range with loud and quiet stretches: (FRAMES, MICS).

    A 32-bit linear congruential generator (Numerical Recipes' constants), its upper
    half shifted right by 0 to 7 bits from one stretch of 4000 frames to the next.
    """
    state, values = 20_260_101, np.empty(FRAMES * MICS, np.int64)
    for index in range(len(values)):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        values[index] = (state >> 16) - 32_768
    shift = (np.arange(FRAMES) // 4000 % 8)[:, None]
    return (values.reshape(FRAMES, MICS) >> shift).astype(np.int16)


def weights(name: str) -> WeightSet:
    """A committed weight set, checked against the digest in its file's name."""
    (path,) = GOLDEN.glob(f"{name}-*.q15")
    made = WeightSet.from_data(path.read_bytes(), MICS)
    if not made.sha256.hex().startswith(path.stem.split("-")[1]):
        raise ValueError(f"{path.name} does not match its digest")
    return made


def beam_hash() -> str:
    """SHA-256 of the beam over :func:`samples` with two cross-fades, one of them queued."""
    pcm = samples()
    beam = FixedPointBeam(weights("ahead"))
    out = []
    for first in range(0, FRAMES, CHUNK):
        if first == 8 * CHUNK:
            beam.steer(weights("aside"), SampleIndex(8 * CHUNK + 77))
            beam.steer(weights("ahead"), SampleIndex(8 * CHUNK + 177))
            beam.steer(weights("aside"), SampleIndex(20 * CHUNK + 1))
        out.append(beam.push(pcm[first : first + CHUNK]))
    out.append(beam.flush())
    whole = np.concatenate(out)
    text = whole.astype("<i2").tobytes() + beam.saturated.to_bytes(8, "little")
    return hashlib.sha256(text).hexdigest()


def main(arguments: list[str]) -> int:
    """Print the hash; with --check say whether it is the committed one."""
    found = beam_hash()
    print(found)  # noqa: T201 - a command line prints
    if "--check" in arguments:
        return 0 if found == (GOLDEN / "beam.sha256").read_text(encoding="ascii").strip() else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
