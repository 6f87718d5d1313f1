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

CONTEXT_S: Final = 8.0
"""Audio before a segment that is given too. Segments are short, so that their words are on the
page soon; alone they would be heard out of context: 69.5 % word errors instead of 59.9 % in
three minutes at 60 dB SPL. Whisper's encoder always works on 30 s, so this costs decoding alone."""

_EDGE_S: Final = 0.6
"""A word this near to the cut may have been heard in the segment before."""

MOST_S: Final = 28.0
"""Whisper hears 30 s at a time; a segment has 10 at most."""


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
        if quiet(audio[span.seq]):
            zone.count("segments-quiet")
            return []
        begin, stretches = self._listen(zone, span, audio)
        found: list[Word] = []
        for stretch in stretches:
            why = refusal(stretch, self._gate, stretches)
            if why:
                zone.count(f"dropped-{why}")
                continue
            found += [
                Word(w.text, round(begin + w.start, 3), round(begin + w.end, 3), w.probability)
                for w in stretch.words
            ]
        return _new(found, zone, span)

    def _listen(
        self, zone: Zone, span: Span, audio: Mapping[int, Pcm]
    ) -> tuple[float, tuple[Stretch, ...]]:
        """What is heard, and from where on in seconds; nothing if it fails twice.

        What kills a recogniser may lie in the context: the second time the segment is alone.
        """
        context = _context(zone, span, audio)
        for before in (context, context[:0]):
            pcm = np.concatenate([before, audio[span.seq]])[: int(MOST_S * zone.rate)]
            try:
                stretches = self._recogniser.listen(_at_rate(pcm, zone.rate))
            except RecogniserFailed as error:
                why = error
            else:
                return (span.at - len(before)) / zone.rate, stretches
        span.problem = why.code
        zone.count("segments-failed")
        log.error("record %d is not transcribed: %s", span.seq, why)
        return 0.0, ()


def _context(zone: Zone, span: Span, audio: Mapping[int, Pcm]) -> Pcm:
    """What was heard before the segment without a gap, as far as it is there."""
    wanted, at = int(CONTEXT_S * zone.rate), span.at
    pieces = [np.zeros(0, np.int16)]
    for before in sorted(zone.spans, key=lambda each: -each.at):
        if wanted > 0 and before.at + before.samples == at and before.seq in audio:
            pieces.append(audio[before.seq][-wanted:])
            wanted, at = wanted - len(pieces[-1]), before.at
    return np.concatenate(pieces[::-1])


def _new(found: list[Word], zone: Zone, span: Span) -> list[Word]:
    """Without the words of the context, or heard at the cut already in the segment before."""
    begin = span.at / zone.rate
    before = [word for word in zone.words if abs(word.end - begin) < _EDGE_S]
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
