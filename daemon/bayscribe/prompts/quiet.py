"""Whether nobody speaks now, by what the unit's own analysis says.

Three witnesses, and it is quiet only when none hears anybody: voice activity of the
microphones' mean, which is prompt; voice activity of the beam, which is surer and half a
second behind; and what the microphones together say of a talker anywhere (the beam may
look elsewhere). Absence of analysis is never taken for silence: after a jump, a gap, shed
or ducked audio the wait begins anew.
"""

from collections.abc import Sequence

from bayscribe.stream import SpeechFrame, TrackFrame
from bayscribe.units import SAMPLE_RATE

TALKS_FROM = 0.3
"""Probability of voice activity from which somebody is taken to speak: low, since a prompt
over a talker costs more than one that comes a second later."""

NEAR_TALKS_FROM = -0.5
"""Log-odds of the microphones from which somebody is taken to speak. Chosen so that no prompt
began over a talker on the repository's two scenes; below -1 nothing is ever quiet in a bay of
70 dB. The price is silence: few of the true pauses are found (`prompt_quiet` among the
benchmarks prints the figures)."""

_STEP = 1024
"""Samples. Voice activity comes every 512; a wider step is a hole."""


class _Witness:
    """Since when one stream of voice activity has been silent."""

    def __init__(self) -> None:
        self.since: int | None = None
        self.reached = 0

    def hear(self, frames: Sequence[SpeechFrame]) -> None:
        for frame in frames:
            end = int(frame.end)
            if self.since is None or not 0 < end - self.reached <= _STEP:
                self.since = end
            self.reached = end
            if frame.probability >= TALKS_FROM:
                self.since = end

    @property
    def silent(self) -> int:
        """Samples up to the newest in which nobody spoke; 0 if unknown."""
        return 0 if self.since is None else max(0, self.reached - self.since)


class QuietMoment:
    """Follows the analysis; all in sample indices."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What was heard says nothing any more: the stream jumped or was not analysed."""
        self._beam = _Witness()
        self._prompt = _Witness()

    def hear(
        self,
        now: Sequence[SpeechFrame],
        beam: Sequence[SpeechFrame],
        tracks: Sequence[TrackFrame],
    ) -> None:
        """Take the newest voice activity of microphones and beam, and tracks; may be empty."""
        self._prompt.hear(now)
        self._beam.hear(beam)
        for track in tracks:
            if track.speech is not None and track.speech > NEAR_TALKS_FROM:
                for witness in (self._prompt, self._beam):
                    if witness.since is not None:
                        witness.since = max(witness.since, int(track.at))

    def lasts_s(self) -> float:
        """Seconds up to the newest sample in which nobody spoke; 0 if unknown."""
        return min(self._prompt.silent, self._beam.silent) / SAMPLE_RATE
