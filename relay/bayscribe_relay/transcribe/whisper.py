"""Whisper by CTranslate2, through faster-whisper. Loaded in the recogniser process alone."""

import warnings
from typing import Final

import numpy as np

from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.frames import Setup
from bayscribe_relay.transcribe.recogniser import RATE, Pcm, Stretch

_TOKENS: Final = 24
_TOKENS_A_SECOND: Final = 8
"""Bound on the length of the text; people speak 3 to 6 tokens a second. Over noise the
decoder may repeat itself without end, and would take five times as long to say it."""


class Whisper:
    """A loaded model; one decoding without temperature, so that equal audio gives equal words.

    Args:
        setup: what to load; nothing is ever fetched.
    """

    def __init__(self, setup: Setup) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its imports; none is about this use
            from faster_whisper import WhisperModel

        self._model = WhisperModel(
            setup.folder,
            device="cpu",
            compute_type="int8",
            cpu_threads=setup.threads,
            num_workers=1,
            local_files_only=True,
        )
        self._language = setup.language
        self._beam = setup.beam

    def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
        """Recognise; the gate is the caller's, so the library's own thresholds are off."""
        found, _ = self._model.transcribe(
            pcm.astype(np.float32) / 32768.0,
            language=self._language,
            beam_size=self._beam,
            temperature=0.0,
            max_new_tokens=_TOKENS + _TOKENS_A_SECOND * len(pcm) // RATE,
            condition_on_previous_text=False,
            word_timestamps=True,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        return tuple(
            Stretch(
                tuple(
                    Word(
                        word.word.strip(),
                        float(word.start),
                        float(word.end),
                        float(word.probability),
                    )
                    for word in segment.words or ()
                    if word.word.strip()
                ),
                float(segment.no_speech_prob),
                float(segment.avg_logprob),
                float(segment.compression_ratio),
            )
            for segment in found
        )
