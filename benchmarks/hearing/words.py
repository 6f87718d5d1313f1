"""Word errors of the relay's recogniser on single-talker turns, by what listened.

Every turn is recognised by itself, cut at its true boundaries, without the transcript's gate:
the same words, the same cuts and the same network for every way of listening.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bayscribe_relay.transcribe.frames import Setup
from bayscribe_relay.transcribe.gate import plain
from bayscribe_relay.transcribe.model import find_model
from bayscribe_relay.transcribe.whisper import Whisper
from benchmarks.hearing.scoring import word_errors

FULL = 32_767
LOUDEST = 0.5
"""Every cut is scaled to this peak, so that levels do not decide."""


class Words:
    """The default model, loaded once."""

    def __init__(self) -> None:
        self.model = find_model(None)
        self._whisper = Whisper(Setup(str(self.model.folder), "en", 1, 5, 4_096))

    def errors(self, cuts: Path, texts: list[str]) -> dict[str, dict[str, float]]:
        """Share of words in error by way of listening.

        Args:
            cuts: what ``peers.py`` wrote: an array for each ``WAY|NUMBER``.
            texts: what is said in each turn, by number.
        """
        with np.load(cuts) as stored:
            signals = {name: stored[name] for name in stored.files}
        wrong: dict[str, int] = {}
        for name, signal in signals.items():
            way, number = name.rsplit("|", 1)
            wanted = plain(texts[int(number)]).split()
            wrong[way] = wrong.get(way, 0) + word_errors(wanted, self._heard(signal))
        total = sum(len(plain(text).split()) for text in texts)
        return {way: {"wer": count / max(1, total)} for way, count in wrong.items()}

    def _heard(self, signal: np.ndarray[Any, Any]) -> list[str]:
        scaled = LOUDEST * signal / max(1e-9, float(np.abs(signal).max()))
        stretches = self._whisper.listen(np.rint(FULL * scaled).astype(np.int16))
        return plain(" ".join(w.text for each in stretches for w in each.words)).split()
