"""Analysis beams are the fixed-point beam without its rounding."""

import numpy as np
import pytest

from bayscribe.dsp.adaptive import LOOK_ELEVATION_DEG
from bayscribe.dsp.analysis import AnalysisBeams
from bayscribe.dsp.beam import FixedPointBeam
from bayscribe.dsp.weights import SteeringGrid
from bayscribe.errors import AudioFormatError

MICS = np.array([[0.032, 0, 0], [0, 0.032, 0], [-0.032, 0, 0], [0, -0.032, 0]])


def test_each_row_is_the_beam_towards_its_azimuth() -> None:
    pcm = np.random.default_rng(2).integers(-8000, 8000, (5000, 4)).astype(np.int16)
    beams, towards = AnalysisBeams(MICS), [40.0, 310.0]
    heard = np.concatenate(
        [beams.push(pcm[:1700], towards), beams.push(pcm[1700:], towards), beams.flush(towards)],
        axis=1,
    )
    assert heard.shape == (2, len(pcm))
    for row, azimuth in zip(heard, towards, strict=True):
        beam = FixedPointBeam(SteeringGrid(MICS).at(azimuth, LOOK_ELEVATION_DEG))
        exact = np.concatenate([beam.push(pcm), beam.flush()])
        assert np.abs(row * 32768 - exact).max() < 0.6


def test_no_direction_gives_no_row() -> None:
    beams = AnalysisBeams(MICS)
    assert beams.push(np.zeros((500, 4), np.int16), []).shape == (0, 436)
    with pytest.raises(AudioFormatError):
        beams.push(np.zeros((500, 2), np.int16), [0.0])
