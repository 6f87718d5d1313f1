"""What is known of each 100 ms of the beam: speech, voice and place, on one frame grid.

Frames are counted from the first sample after the start or a jump. Voice windows are
1.5 s long and begin every 0.25 s; a frame uses the window whose centre is nearest.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.interpreter import Floats
from bayscribe.diarize.mixture import CELLS, Places, Values
from bayscribe.diarize.nearness import LATENCY, Nearness
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.voice import DIMENSIONS, WINDOW, VoiceEncoder
from bayscribe.stream import Pcm, SpeechFrame, TrackFrame
from bayscribe.units import SAMPLE_RATE, SampleIndex

FRAME = 1600
HOP = 4000
KEPT_FRAMES = 300
FLOOR_FRAMES = 200
"""Frames whose quietest part is the floor of the beam's level."""

_SMOOTH = 5
_BAND_HZ = (300.0, 4000.0)
_FREQUENCIES = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
_BINS = slice(*np.searchsorted(_FREQUENCIES, _BAND_HZ).tolist())
_TAPER = np.hanning(FRAME)


class Evidence:
    """Beam and tracks in; per frame the features of speech, the places and the voice.

    Args:
        activity: voice activity on the beam.
        encoder: of voices.
        nearness: whether somebody near speaks; None leaves it to the features alone.
    """

    def __init__(
        self, activity: VoiceActivity, encoder: VoiceEncoder, nearness: Nearness | None = None
    ) -> None:
        self._nearness = nearness
        self._activity = activity
        self._encoder = encoder
        self._levels: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self.restart(SampleIndex(0))

    def restart(self, first: SampleIndex) -> None:
        """Begin at ``first``: nothing before it belongs to what comes."""
        self._activity.reset()
        if self._nearness is not None:
            self._nearness.restart(int(first))
        self.origin = self.end = int(first)
        self.frames = 0
        self._beam: Pcm = np.empty(0, np.int16)
        self._beam_at = self.origin
        self._vad: deque[tuple[int, float]] = deque()
        self._tracks: dict[int, TrackFrame] = {}
        self._features: list[tuple[float, float, float]] = []
        self._decided: deque[float] = deque()
        self._near: list[float] = []
        self._near_from = 0
        self._seen: list[Places] = []
        self._from = 0
        self._windows: list[Floats] = []
        self._windows_from = 0

    def use(self, active: NDArray[np.bool_]) -> None:
        """Leave out dead or stuck microphones, bool (mics,), from now on."""
        if self._nearness is not None:
            self._nearness.use(active)

    def push(
        self, first: SampleIndex, beam: Pcm, mics: Pcm, tracks: Sequence[TrackFrame]
    ) -> list[SpeechFrame]:
        """Take the next samples of beam (n,) and microphones (n, M), and what was tracked."""
        speech = self._activity.push(first, beam)
        self._vad += [(int(frame.end), frame.probability) for frame in speech]
        for frame in tracks:
            self._tracks[(int(frame.at) - self.origin) // FRAME - 1] = frame
        if self._nearness is not None:
            self._decided += self._nearness.push(beam, mics, tracks)
        self._beam = np.concatenate([self._beam, beam])
        self.end += len(beam)
        return speech

    @property
    def pending(self) -> bool:
        """Whether another frame is complete."""
        return self.end >= self.origin + (self.frames + 1) * FRAME

    def advance(self) -> list[int]:
        """Take in the next complete frame; the numbers of the windows that it completes."""
        begin = self.origin + self.frames * FRAME
        frame = self._beam[begin - self._beam_at :][:FRAME]
        self._features.append((self._above_floor(frame), self._spoken(begin + FRAME), 0.0))
        self._seen.append(np.zeros(CELLS))
        self._look(self.frames)
        if self._nearness is not None and self.frames >= LATENCY:
            self._near.append(self._decided.popleft())
        self.frames += 1
        done = []
        while begin + FRAME >= self.origin + self._next_window * HOP + WINDOW:
            at = self.origin + self._next_window * HOP - self._beam_at
            done.append(self._next_window)
            self._windows.append(self._encoder.encode(self._beam[at : at + WINDOW]))
        cut = min(begin + FRAME, self.origin + self._next_window * HOP) - self._beam_at
        self._beam, self._beam_at = self._beam[cut:], self._beam_at + cut
        self._forget()
        return done

    @property
    def _next_window(self) -> int:
        return self._windows_from + len(self._windows)

    def _above_floor(self, frame: Pcm) -> float:
        """By how many dB the speech band exceeds what 15 % of the last frames stay below."""
        power = np.abs(np.fft.rfft(frame * _TAPER)[_BINS]) ** 2
        level = float(10 * np.log10(power.sum() + 1.0))
        self._levels.append(level)
        return level - float(np.percentile(self._levels, 15))

    def _spoken(self, until: int) -> float:
        """Mean log-odds of speech by the network in frames that end by ``until``."""
        odds = [0.0]
        while self._vad and self._vad[0][0] <= until:
            odds.append(_log_odds(self._vad.popleft()[1]))
        if len(odds) == 1:
            return self._features[-1][1] if self._features else 0.0
        return sum(odds) / (len(odds) - 1)

    def _look(self, number: int) -> None:
        """Enter the tracks of frame ``number``."""
        tracks = self._tracks.pop(number, None)
        found = tracks.tracks if tracks else ()
        level, spoken, _ = self._features[-1]
        salience = max((track.salience for track in found), default=0.0)
        self._features[-1] = (level, spoken, _log_odds(salience))
        for track in found:
            self._seen[-1][round(track.azimuth_deg / 360.0 * CELLS) % CELLS] += track.salience
        self._seen[-1] /= max(float(self._seen[-1].sum()), 1.0)

    def near(self, begin: int, end: int) -> Values | None:
        """Log-odds of near speech (frames,), the newest decided one held; None without."""
        if not self._near:
            return None
        newest = self._near_from + len(self._near) - 1
        numbers = np.clip(np.arange(begin, end), self._near_from, newest)
        return np.array(self._near)[numbers - self._near_from]

    def _forget(self) -> None:
        """Drop what is too old for any turn, a block at a time."""
        if len(self._features) > 2 * KEPT_FRAMES:
            del self._features[:KEPT_FRAMES], self._seen[:KEPT_FRAMES]
            self._from += KEPT_FRAMES
        if len(self._near) > 2 * KEPT_FRAMES:
            del self._near[:KEPT_FRAMES]
            self._near_from += KEPT_FRAMES
        if len(self._windows) > 2 * KEPT_FRAMES:
            del self._windows[:KEPT_FRAMES]
            self._windows_from += KEPT_FRAMES

    def features(self, begin: int, end: int) -> Values:
        """(frames, 3): dB above the floor, log-odds of network and tracks, over 0.5 s."""
        reach = _SMOOTH // 2
        low, high = max(begin - reach, self._from, 0), min(end + reach, self.frames)
        values = np.array(self._features[low - self._from : high - self._from])
        before, after = reach - (begin - low), reach - (high - end)
        padded = np.pad(values, ((before, after), (0, 0)), mode="edge")
        total = np.cumsum(np.concatenate([np.zeros((1, 3)), padded]), axis=0)
        return np.asarray((total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH)

    def places(self, begin: int, end: int) -> Places:
        """(frames, CELLS): salience of the tracks by azimuth, at most one in all."""
        return np.stack(self._seen[begin - self._from : end - self._from])

    def window_of(self, begin: int, end: int) -> NDArray[np.int64]:
        """(frames,): number of the window nearest to each frame, -1 if there is none."""
        newest = self._next_window - 1
        centres = (np.arange(begin, end) + 0.5) * FRAME - WINDOW / 2
        nearest = np.rint(centres / HOP).astype(np.int64)
        return np.clip(nearest, min(self._windows_from, newest), newest)

    def frame_of(self, window: int) -> int:
        """The frame in which the centre of a window lies."""
        return (window * HOP + WINDOW // 2) // FRAME

    def embeddings(self, numbers: NDArray[np.int64]) -> Floats:
        """float32 (n, 192): the voices in the windows of these numbers; zero for -1."""
        if not self._windows:
            return np.zeros((len(numbers), DIMENSIONS), np.float32)
        return np.stack([self._windows[n - self._windows_from] for n in numbers])


def _log_odds(probability: float) -> float:
    p = min(max(probability, 1e-3), 1 - 1e-3)
    return float(np.log(p / (1 - p)))
