"""Which weights the beam gets, and from when on.

The beam runs :data:`LOOKAHEAD` samples behind localization, so that when a talker
is found, the beam can turn to him before his first syllable.
"""

from collections.abc import Callable, Sequence

from bayscribe.dsp.adapted import AdaptedSets
from bayscribe.dsp.beam import FADE
from bayscribe.dsp.geometry import Floats
from bayscribe.dsp.localize import SPAN_BLOCKS
from bayscribe.dsp.look import Look
from bayscribe.dsp.noise import NoiseShape
from bayscribe.dsp.spectra import BLOCK
from bayscribe.dsp.track import LAG_BLOCKS
from bayscribe.dsp.weights import WeightSet, delay_and_sum
from bayscribe.stream import SpeechFrame, TrackFrame
from bayscribe.units import SAMPLE_RATE, SampleIndex

LOOKAHEAD = (SPAN_BLOCKS // 2 + LAG_BLOCKS + 2) * BLOCK
"""Samples by which the beam's input must be delayed against the localizer's.

A block is decided half a span, LAG_BLOCKS blocks and a window's overhang after its end, and
the turn to it begins half a cross-fade before its first sample.
"""


class BeamSteerer:
    """Tracks in, weight changes out.

    The beam goes where :class:`bayscribe.dsp.look.Look` looks.

    Args:
        mics: float64 (M, 3), metres, profile order.
        sample_rate: Hz.
        noise: gives the noise field that was learnt up to a sample, as
            :meth:`bayscribe.dsp.localize.Localizer.noise` does. Without it, or before
            there is one, the field is taken to be diffuse.
    """

    def __init__(
        self,
        mics: Floats,
        sample_rate: int = SAMPLE_RATE,
        noise: Callable[[SampleIndex], NoiseShape | None] | None = None,
    ) -> None:
        self._mics = mics
        self._sets = AdaptedSets(mics, sample_rate)
        self._noise = noise
        self._adapted: NoiseShape | None = None
        self._active: tuple[bool, ...] | None = None
        self._look = Look()
        self._set = self._wide()

    @property
    def initial(self) -> WeightSet:
        """The set to begin a stream with: open to all directions."""
        return self._wide()

    def use(self, active: Sequence[bool]) -> None:
        """Leave out dead or stuck microphones in all sets from now on."""
        self._active = None if all(active) or not any(active) else tuple(map(bool, active))

    def push(
        self,
        frames: Sequence[TrackFrame],
        speech: Sequence[SpeechFrame] = (),  # noqa: ARG002 - tracks say it sooner and as well
    ) -> list[tuple[SampleIndex, WeightSet]]:
        """Take in decided frames; the changes of weights that follow, in order.

        Each is a sample at which the cross-fade begins, and the set to fade to.
        """
        changes = []
        for frame in frames:
            self._adapt(frame.at)
            chosen = self._choose(frame)
            if chosen.sha256 != self._set.sha256:
                self._set = chosen
                at = max(0, frame.at - BLOCK - FADE // 2)
                changes.append((SampleIndex(at), chosen))
        return changes

    def _adapt(self, at: SampleIndex) -> None:
        """Take up a newly stated noise field; at most one for each Localizer.SHAPE_BLOCKS."""
        shape = self._noise(at) if self._noise is not None else None
        if shape is not None and shape is not self._adapted:
            self._adapted = shape
            self._sets.hear(shape)

    def _choose(self, frame: TrackFrame) -> WeightSet:
        self._look.follow(frame)
        if self._look.azimuth_deg is None:
            return self._wide()
        return self._sets.at(self._look.azimuth_deg, self._look.elevation_deg, self._active)

    def _wide(self) -> WeightSet:
        return delay_and_sum(self._mics, 0.0, 90.0, active=self._active)
