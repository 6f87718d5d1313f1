"""Playback through ALSA, one clip at a time, in a thread of its own."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from bayscribe.errors import CaptureError
from bayscribe.prompts.clip import Clip
from bayscribe.prompts.duck import Duck

PERIOD_S = 0.02
_PERIODS = 4


class Sink(Protocol):
    """Something that sounds a clip and returns when it has sounded."""

    def play(self, clip: Clip, stop: threading.Event) -> float:
        """Sound it; seconds for which the device may still sound after the return.

        Raises:
            CaptureError: the device cannot be used.
        """
        ...


class AlsaSink:
    """An ALSA playback PCM, opened for each clip at the clip's rate.

    Args:
        device: ALSA device; it has to convert rates unless the clips' is its own.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def play(self, clip: Clip, stop: threading.Event) -> float:
        """Sound a clip, in periods, until it ends or ``stop`` is set."""
        import alsaaudio

        period = max(1, round(PERIOD_S * clip.rate))
        try:
            pcm: Any = alsaaudio.PCM(
                type=alsaaudio.PCM_PLAYBACK,
                mode=alsaaudio.PCM_NORMAL,
                device=self._device,
                channels=1,
                rate=clip.rate,
                format=alsaaudio.PCM_FORMAT_S16_LE,
                periodsize=period,
                periods=_PERIODS,
            )
        except alsaaudio.ALSAAudioError as error:
            raise CaptureError(f"cannot open {self._device}: {error}", code="playback") from None
        try:
            return self._write(pcm, clip, period, stop)
        except alsaaudio.ALSAAudioError as error:
            raise CaptureError(f"{self._device}: {error}", code="playback") from None
        finally:
            pcm.close()

    def _write(
        self,
        pcm: Any,  # noqa: ANN401 - pyalsaaudio is not typed
        clip: Clip,
        period: int,
        stop: threading.Event,
    ) -> float:
        info = pcm.info()
        if (int(info["rate"]), int(info["channels"])) != (clip.rate, 1):
            raise CaptureError(
                f"{self._device} does not play {clip.rate} Hz mono",
                "name a plughw: device in [prompts]",
                code="playback",
            )
        period = int(info["period_size"])
        data = clip.pcm.astype("<i2").tobytes()
        for at in range(0, len(data), 2 * period):
            if stop.is_set():
                pcm.drop()
                return 0.0
            piece = data[at : at + 2 * period].ljust(2 * period, b"\0")
            while piece:
                # Less than the period is taken when an underrun was mended; 0 asks again.
                taken = int(pcm.write(piece))
                if taken < 0:
                    taken = int(pcm.write(piece))
                if taken < 0:
                    raise CaptureError(f"{self._device}: write gave {taken}", code="playback")
                piece = piece[2 * taken :]
        pcm.drain()
        return 0.0


class Player:
    """Sounds one clip at a time and tells when it is over; ducks the analysis meanwhile.

    Args:
        sink: what sounds.
        duck: told when playback begins and ends.
        done: called in the player's thread with None, or why it failed.
    """

    def __init__(self, sink: Sink, duck: Duck, done: Callable[[str | None], None]) -> None:
        self._sink = sink
        self._duck = duck
        self._done = done
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, clip: Clip) -> None:
        """Begin to play; returns at once."""
        self._duck.begin()
        self._thread = threading.Thread(
            target=self._run, args=(clip,), name="prompt-playback", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End playback and wait for its thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self, clip: Clip) -> None:
        began, problem = monotonic(), None
        try:
            left = self._sink.play(clip, self._stop)
        except CaptureError as error:
            problem, left = str(error), 0.0
        except Exception as error:  # noqa: BLE001 - a driver's surprise must not end the unit
            problem, left = type(error).__name__, 0.0
        # A device that takes everything at once (a file, a sound server) sounds it after.
        if problem is None and not self._stop.is_set():
            left = max(left, began + clip.seconds - monotonic())
        self._duck.end(max(0.0, left))
        self._done(problem if not self._stop.is_set() else "stopped")
