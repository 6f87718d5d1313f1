"""Putting the line together: profile, networks and voices in, a pipeline out."""

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.diarize.enrol import Voiceprint, enrol
from bayscribe.diarize.interpreter import Floats, load_network
from bayscribe.diarize.nearness import Nearness
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.turns import SpeakerTurns
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.dsp.adaptive import BeamSteerer
from bayscribe.dsp.bearings import Weighed
from bayscribe.dsp.geometry import is_linear
from bayscribe.dsp.localize import Localizer
from bayscribe.errors import AudioFormatError
from bayscribe.pipeline import Pipeline, Stages, StageTimer
from bayscribe.segments.cutter import SegmentCutter
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Voice:
    """A known person: a label and clean speech, int16 (n,), 16 kHz."""

    label: str
    pcm: Pcm


def read_voices(named: Sequence[tuple[str, Path]]) -> tuple[Voice, ...]:
    """Read enrolment recordings: 16 kHz, mono, 16-bit WAV or FLAC.

    Raises:
        AudioFormatError: a file is absent or of another kind.
    """
    return tuple(Voice(label, _read(path)) for label, path in named)


def _read(path: Path) -> Pcm:
    try:
        with soundfile.SoundFile(path) as source:
            found = (source.samplerate, source.channels, source.subtype)
            if found != (SAMPLE_RATE, 1, "PCM_16"):
                raise AudioFormatError(
                    f"{path}: found {found[0]} Hz, {found[1]} channels, {found[2]}; "
                    f"a voice needs {SAMPLE_RATE} Hz, 1 channel, PCM_16",
                    "convert it, for instance with sox",
                )
            pcm: Pcm = source.read(dtype="int16")
            return pcm
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFormatError(f"{path}: cannot be read as audio: {error}") from None


def load_clustering() -> None:
    """Load the libraries of the voices' clustering, needed seconds after the first speech.

    They are half of all that the line imports. A thread of its own does it while the line
    already works; whoever clusters before that waits for it.
    """

    def load() -> None:
        for name in ("scipy.cluster.hierarchy", "scipy.optimize"):
            importlib.import_module(name)

    threading.Thread(target=load, name="clustering", daemon=True).start()


class Assembly:
    """What is loaded once and serves every recording: networks and voiceprints.

    Args:
        geometry: float64 (mics, 3), metres, profile order.
        voices: known voices.
        primary: label of the primary clinician, or None.
        threads: threads of each network.

    Raises:
        ModelError: a network is missing, altered or not runnable here.
        BadUse: a voice is too short to be enrolled.
    """

    def __init__(
        self,
        geometry: NDArray[np.float64],
        voices: Sequence[Voice],
        primary: str | None,
        *,
        threads: int = 1,
    ) -> None:
        self._geometry = geometry
        self._primary = primary
        self._speech = load_network("speech", threads=threads)
        self._speaker = load_network("speaker", threads=threads)
        self._near = load_network("near", threads=threads)
        self._bearings = load_network("bearings", threads=threads)
        encoder = VoiceEncoder(self._speaker)
        self._voiceprints: tuple[Voiceprint, ...] = tuple(
            enrol(voice.label, voice.pcm, encoder) for voice in voices
        )

    @property
    def voiceprints(self) -> tuple[Voiceprint, ...]:
        """The known voices."""
        return self._voiceprints

    def know(self, voiceprints: Sequence[Voiceprint]) -> None:
        """Other voices are known from the next recording on."""
        self._voiceprints = tuple(voiceprints)

    @property
    def models(self) -> dict[str, bytes]:
        """SHA-256 of each network in use, by name."""
        networks = (self._speech, self._speaker, self._near, self._bearings)
        return {network.name: network.sha256 for network in networks}

    def activity(self) -> VoiceActivity:
        """Voice activity for one stream; its state is its own, the network is shared."""
        return VoiceActivity(self._speech)

    def pipeline(self, timer: StageTimer | None = None) -> Pipeline:
        """New stages for a new recording."""
        speech = SpeakerTurns(
            self.activity(),
            VoiceEncoder(self._speaker),
            self._voiceprints,
            self._primary,
            nearness=None if is_linear(self._geometry) else Nearness(self._near, self._geometry),
        )
        localizer = Localizer(self._geometry, network=self._weigh_bearings)
        stages = Stages(
            ChannelCheck(self._geometry),
            localizer,
            BeamSteerer(self._geometry, noise=localizer.noise),
            speech,
            SegmentCutter(),
        )
        return Pipeline(stages, len(self._geometry), timer)

    def _weigh_bearings(self, maps: Floats, scalars: Floats) -> Weighed:
        out = self._bearings.run({"maps": maps[None], "scalars": scalars[None]})
        speech, overlap = (float(odds) for odds in out["odds"][0])
        return Weighed(out["logits"][0], speech, overlap)
