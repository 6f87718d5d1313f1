"""A recogniser in a process of its own, started again whenever it fails."""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.frames import Failed, Frame, Heard, Listen, Ready, Setup
from bayscribe_relay.transcribe.frames import receive as receive_frame
from bayscribe_relay.transcribe.frames import send as send_frame
from bayscribe_relay.transcribe.model import Model
from bayscribe_relay.transcribe.recogniser import (
    Pcm,
    RecogniserAbsent,
    RecogniserFailed,
    Stretch,
)

log = logging.getLogger("bayscribe.transcribe")

CHILD: Final = (sys.executable, "-m", "bayscribe_relay.transcribe.child")
_START_S: Final = 120.0
_END_S: Final = 2.0
_RETRY_S: Final = 5.0


class RecogniserProcess:
    """The port, kept by a child process that may die at any time.

    Args:
        model: what it loads.
        config: language, threads, limits.
        command: the child's command line.
    """

    def __init__(
        self, model: Model, config: TranscribeConfig, command: Sequence[str] = CHILD
    ) -> None:
        self._model = model
        self._config = config
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._not_before = 0.0
        self.starts = 0

    @property
    def model(self) -> Model:
        """Which model answers."""
        return self._model

    @property
    def pid(self) -> int | None:
        """Process id of the child, while there is one."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the child unless it runs.

        Raises:
            RecogniserAbsent: it does not start; asked again at once, it is not tried.
        """
        if self._child is not None and self._child.poll() is None:
            return
        self._end()
        if time.monotonic() < self._not_before:
            raise RecogniserAbsent("the recogniser does not start", "see the line before")
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_S)
        self._link = ours
        try:
            with theirs:
                self._child = subprocess.Popen(
                    self._command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL
                )
            self.starts += 1
            config = self._config
            folder = str(self._model.folder)
            send_frame(
                ours,
                Setup(folder, config.language, config.threads, config.beam, config.memory_mib),
            )
            _expect_ready(receive_frame(ours))
        except (OSError, EOFError, ValueError) as error:
            self._end()
            self._not_before = time.monotonic() + _RETRY_S
            raise RecogniserAbsent(
                f"the recogniser process does not start: {type(error).__name__}",
                "check the model's folder, memory, and that the `transcribe` extra is installed",
            ) from None
        ours.settimeout(self._config.answer_s)

    def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
        """Recognise; the child is started if there is none.

        Raises:
            RecogniserFailed: the child died, took too long or gave up on this audio.
            RecogniserAbsent: no child can be started now.
        """
        self.start()
        answer = self._ask(Listen(pcm.tobytes()))
        if isinstance(answer, Heard):
            return answer.stretches
        reason = answer.reason if isinstance(answer, Failed) else "protocol"
        if reason == "MemoryError":
            self._end()
        raise RecogniserFailed(f"the recogniser gave up: {reason}", code=f"failed-{reason}"[:40])

    def close(self) -> None:
        """End the child."""
        self._end()

    def _ask(self, frame: Frame) -> Frame:
        assert self._link is not None  # noqa: S101 - start() made it
        try:
            send_frame(self._link, frame)
            return receive_frame(self._link)
        except TimeoutError:
            problem = "timeout"
        except (OSError, EOFError, ValueError):
            problem = "died"
        self._end()
        log.warning("the recogniser process %s and is started again", problem)
        raise RecogniserFailed(f"the recogniser process: {problem}", code=problem)

    def _end(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        child, self._child = self._child, None
        if child is None:
            return
        try:
            child.wait(_END_S if child.poll() is None and self._not_before == 0 else 0.1)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _expect_ready(frame: Frame) -> None:
    if not isinstance(frame, Ready):
        raise ValueError("another frame than `ready`")  # noqa: TRY004 - a matter of protocol
