"""The first listening: is this the array that its profile says, and do all channels live?"""

from typing import Any

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.health.monitor import Monitor
from bayscribe.health.snapshot import ChannelFault, Snapshot
from bayscribe.stream import Block

SECONDS = 4.0


class ArrayIdentified:
    """Listens to the room for four seconds and asks the health checks.

    Args:
        profile: the array that should be there.
    """

    def __init__(self, profile: ArrayProfile) -> None:
        self._profile = profile
        self._check = ChannelCheck(profile.geometry)
        self._watch = ArrayWatch(profile)
        self._heard = 0

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        self._check.push(block)
        self._watch.push(block)
        self._heard += len(block.pcm)
        return self._outcome() if self._heard >= SECONDS * self._profile.sample_rate else None

    def live(self) -> Live:
        """How far it is."""
        whole = SECONDS * self._profile.sample_rate
        levels = self._watch.figures().levels_db_spl
        return Live(min(1.0, self._heard / whole), "listening to the room", levels)

    def _outcome(self) -> Outcome:
        from dataclasses import replace

        faults = tuple(ChannelFault(code, mic) for code, mic in self._check.faults)
        view = replace(self._watch.figures(), faults=faults)
        report = Monitor().judge(0.0, Snapshot(array=view))
        bad = [one for one in report.problems if one.problem.code != "short-reads"]
        figures: dict[str, Any] = {
            "profile": self._profile.name,
            "maker": self._profile.maker,
            "microphones": len(self._profile.microphones),
            "levels_db_spl": list(view.levels_db_spl),
        }
        if bad:
            words = "; ".join(one.words for one in bad)
            return Outcome(False, words, figures, bad[0].problem.what_to_do)
        words = f"{self._profile.maker or self._profile.name}: every channel is alive"
        return Outcome(True, words, figures)
