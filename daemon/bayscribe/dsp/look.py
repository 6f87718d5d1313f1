"""Whom the array looks at: one talker at a time, held through pauses."""

from collections.abc import Sequence

from bayscribe.dsp.geometry import bearing_difference
from bayscribe.stream import Track, TrackFrame

SWITCH_MARGIN = 0.15
"""By how much more salient another talker must be than the one that is looked at."""

ELSEWHERE_DEG = 18.0
"""Tracks further apart than this are a switch; nearer ones are followed at once."""

WIDE_AFTER_BLOCKS = 50
"""Blocks without any talker after which the look opens to all directions."""

LOOK_ELEVATION_DEG = 20.0


class Look:
    """Tracks in, the direction of one talker out.

    It follows a talker, leaves him for another only when that one is clearly more salient,
    holds its direction in pauses, and opens after a long one.

    Attributes:
        azimuth_deg: where it looks; None when it is open.
        elevation_deg: likewise.
    """

    def __init__(self) -> None:
        self.azimuth_deg: float | None = None
        self.elevation_deg = LOOK_ELEVATION_DEG
        self._silent = 0

    def follow(self, frame: TrackFrame) -> None:
        """Take in the next 100 ms."""
        target = self._target(frame.tracks)
        if target is None:
            self._silent += 1
            if self._silent >= WIDE_AFTER_BLOCKS:
                self.azimuth_deg = None
        else:
            self._silent = 0
            self.azimuth_deg = target.azimuth_deg
            self.elevation_deg = target.elevation_deg

    def _target(self, tracks: Sequence[Track]) -> Track | None:
        if not tracks:
            return None
        loudest = max(tracks, key=lambda t: t.salience)
        at = self.azimuth_deg
        if at is None:
            return loudest
        held = min(tracks, key=lambda t: bearing_difference(t.azimuth_deg, at))
        near = bearing_difference(held.azimuth_deg, at) <= ELSEWHERE_DEG
        if near and loudest.salience <= held.salience + SWITCH_MARGIN:
            return held
        return loudest
