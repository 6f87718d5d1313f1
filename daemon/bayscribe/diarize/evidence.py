"""What is known of each 100 ms of the beam: speech, voice and place, on one frame grid.

Frames are counted from the first sample after the start or a jump. Voice windows are
1.5 s long and begin every 0.25 s; a frame uses the window whose centre is nearest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayscribe.diarize.interpreter import Floats
from bayscribe.diarize.people import CELLS, Places
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.diarize.voice import DIMENSIONS, WINDOW, VoiceEncoder
from bayscribe.stream import Pcm, SpeechFrame, TrackFrame
from bayscribe.units import SampleIndex

FRAME = 1600
HOP = 4000
KEPT_FRAMES = 400

_SMOOTH = 5


class Evidence:
    """Beam and tracks in; per frame the log-odds of speech, the places and the voice.

    Args:
        activity: voice activity on the beam.
        encoder: of voices.
    """

    def __init__(self, activity: VoiceActivity, encoder: VoiceEncoder) -> None:
        self._activity = activity
        self._encoder = encoder
        self.restart(SampleIndex(0))

    def restart(self, first: SampleIndex) -> None:
        """Begin at ``first``: nothing before it belongs to what comes."""
        self._activity.reset()
        self.origin = self.end = int(first)
        self._beam: Pcm = np.empty(0, np.int16)
        self._beam_at = self.origin
        self._vad: list[tuple[int, float]] = []
        self._tracks: dict[int, TrackFrame] = {}
        self._windows: list[Floats] = []
        self._windows_from = 0

    def push(
        self, first: SampleIndex, beam: Pcm, tracks: Sequence[TrackFrame]
    ) -> list[SpeechFrame]:
        """Take the next samples of the beam, int16 (n,), and what was tracked."""
        speech = self._activity.push(first, beam)
        self._vad += [(int(frame.end), frame.probability) for frame in speech]
        for frame in tracks:
            self._tracks[(int(frame.at) - self.origin) // FRAME - 1] = frame
        self._beam = np.concatenate([self._beam, beam])
        self.end += len(beam)
        while len(self._beam) >= WINDOW:
            self._windows.append(self._encoder.encode(self._beam[:WINDOW]))
            self._beam = self._beam[HOP:]
            self._beam_at += HOP
        return speech

    def forget_before(self, frame: int) -> None:
        """Drop what belongs to frames long before ``frame``."""
        keep = frame - KEPT_FRAMES
        self._tracks = {k: v for k, v in self._tracks.items() if k >= keep}
        sample = self.origin + keep * FRAME
        if len(self._vad) > 2 * KEPT_FRAMES * FRAME // 512:
            self._vad = [pair for pair in self._vad if pair[0] > sample]
        excess = (keep * FRAME) // HOP - self._windows_from
        if excess > KEPT_FRAMES:
            del self._windows[:excess]
            self._windows_from += excess

    @property
    def frames(self) -> int:
        """How many frames are complete."""
        return (self.end - self.origin) // FRAME

    def activity(self, begin: int, end: int) -> NDArray[np.float64]:
        """(frames, 2): log-odds of speech by the network and by the tracks, smoothed."""
        low, high = max(begin - _SMOOTH, 0), min(end + _SMOOTH, self.frames)
        sums, counts = np.zeros(high - low), np.full(high - low, 1e-9)
        for at, probability in self._vad:
            k = (at - 256 - self.origin) // FRAME - low
            if 0 <= k < high - low:
                sums[k] += _log_odds(probability)
                counts[k] += 1
        salience = [
            max((t.salience for t in self._tracks[k].tracks), default=0.0)
            if k in self._tracks
            else 0.0
            for k in range(low, high)
        ]
        both = np.stack([sums / counts, [_log_odds(s) for s in salience]], axis=1)
        return _averaged(both)[begin - low : end - low]

    def places(self, begin: int, end: int) -> Places:
        """(frames, CELLS): salience of the tracks by azimuth, at most one in all."""
        seen = np.zeros((end - begin, CELLS))
        for k in range(begin, end):
            if k in self._tracks:
                for track in self._tracks[k].tracks:
                    cell = round(track.azimuth_deg / 360.0 * CELLS) % CELLS
                    seen[k - begin, cell] += track.salience
        shares: Places = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1.0)
        return shares

    def window_of(self, begin: int, end: int) -> NDArray[np.int64]:
        """(frames,): number of the window nearest to each frame, -1 if there is none."""
        newest = self._windows_from + len(self._windows) - 1
        centres = (np.arange(begin, end) + 0.5) * FRAME - WINDOW / 2
        nearest = np.rint(centres / HOP).astype(np.int64)
        return np.clip(nearest, min(self._windows_from, newest), newest)

    def embeddings(self, numbers: NDArray[np.int64]) -> Floats:
        """float32 (n, 192): the voices in the windows of these numbers; zero for -1."""
        if not self._windows:
            return np.zeros((len(numbers), DIMENSIONS), np.float32)
        rows = [self._windows[n - self._windows_from] for n in numbers]
        return np.stack(rows) if rows else np.zeros((0, DIMENSIONS), np.float32)


def _log_odds(probability: float) -> float:
    p = min(max(probability, 1e-4), 1 - 1e-4)
    return float(np.log(p / (1 - p)))


def _averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over five frames around each."""
    reach = _SMOOTH // 2
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), padded]), axis=0)
    mean: NDArray[np.float64] = (total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH
    return mean
