"""From one segment's audio to gated words on the recording's time line."""

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.signal import resample_poly

from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.config import GateConfig
from bayscribe_relay.transcribe.gate import quiet, refusal
from bayscribe_relay.transcribe.recogniser import RATE, Pcm, Recogniser, RecogniserFailed, Stretch
from bayscribe_relay.transcribe.zone import Span, Zone

log = logging.getLogger("bayscribe.transcribe")

LEAD_S: Final = 0.3
"""Audio before a segment that is given too: a word may begin before the cut."""

MOST_S: Final = 28.0
"""Whisper hears 30 s at a time; a segment has 10 at most."""

_TRIES: Final = 2
"""The same audio twice at most: what kills a recogniser twice is not given to a third."""


class Hearing:
    """Recognises segments.

    Args:
        recogniser: the port.
        gate: what counts as speech.
    """

    def __init__(self, recogniser: Recogniser, gate: GateConfig) -> None:
        self._recogniser = recogniser
        self._gate = gate

    @property
    def model_sha256(self) -> str:
        """Digest of the model that hears."""
        return self._recogniser.model.sha256

    def words(self, zone: Zone, span: Span, audio: Mapping[int, Pcm]) -> list[Word]:
        """Words of a segment; on failure its span says why there are none.

        Args:
            zone: counts what is dropped.
            span: which segment.
            audio: PCM of the zone's segments, by record; absent where it could not be opened.

        Raises:
            RecogniserAbsent: no recogniser can be started now; nothing was changed.
        """
        if span.seq not in audio:
            span.problem = span.problem or "no-audio"
            zone.count("segments-without-audio")
            return []
        lead = self._lead(zone, span, audio)
        pcm = np.concatenate([lead, audio[span.seq]])[: int(MOST_S * zone.rate)]
        if quiet(audio[span.seq]):
            zone.count("segments-quiet")
            return []
        found: list[Word] = []
        begin = (span.at - len(lead)) / zone.rate
        for stretch in self._listen(zone, span, _at_rate(pcm, zone.rate)):
            why = refusal(stretch, self._gate)
            if why:
                zone.count(f"dropped-{why}")
                continue
            found += [
                Word(w.text, round(begin + w.start, 3), round(begin + w.end, 3), w.probability)
                for w in stretch.words
            ]
        return _new(found, zone, span)

    def _listen(self, zone: Zone, span: Span, pcm: Pcm) -> tuple[Stretch, ...]:
        for left in reversed(range(_TRIES)):
            try:
                return self._recogniser.listen(pcm)
            except RecogniserFailed as error:
                if left == 0:
                    span.problem = error.code
                    zone.count("segments-failed")
                    log.error("record %d is not transcribed: %s", span.seq, error)  # noqa: TRY400
        return ()

    def _lead(self, zone: Zone, span: Span, audio: Mapping[int, Pcm]) -> Pcm:
        """The end of the segment directly before, as far as it is there."""
        wanted = int(LEAD_S * zone.rate)
        for before in zone.spans:
            if before.at + before.samples == span.at and before.seq in audio:
                return audio[before.seq][-wanted:]
        return np.zeros(0, np.int16)


def _new(found: list[Word], zone: Zone, span: Span) -> list[Word]:
    """Without the words that lie in the lead, or were heard there in the segment before."""
    begin = span.at / zone.rate
    before = [word for word in zone.words if abs(word.end - begin) < 2 * LEAD_S]
    kept = []
    for word in found:
        again = any(_bare(word) == _bare(each) and word.start < each.end + 0.05 for each in before)
        if (word.start + word.end) / 2 >= begin and not again:
            kept.append(word)
    return kept


def _bare(word: Word) -> str:
    return word.text.lower().strip(".,?!;:\"'")


def _at_rate(pcm: Pcm, rate: int) -> Pcm:
    if rate == RATE:
        return pcm
    heard = np.rint(resample_poly(pcm.astype(np.float64), RATE, rate))
    clipped: Pcm = np.clip(heard, -32768, 32767).astype(np.int16)
    return clipped
