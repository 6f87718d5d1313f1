"""The recogniser process: ``python -m bayscribe_relay.transcribe.child``, a socket as stdin.

It reads nothing but frames, writes nothing to disk, and ends when the relay's end of the
socket is closed.
"""

import contextlib
import os
import resource
import socket
import sys
from pathlib import Path

import numpy as np

from bayscribe_relay.transcribe.frames import Failed, Heard, Listen, Ready, Setup, receive, send
from bayscribe_relay.transcribe.whisper import Whisper


def main() -> int:
    """Load what the first frame says, then answer one frame after another."""
    link = socket.socket(fileno=os.dup(0))
    setup = receive(link)
    if not isinstance(setup, Setup):
        return 2
    _limit(setup.memory_mib)
    whisper = Whisper(setup)
    send(link, Ready())
    while True:
        try:
            frame = receive(link)
        except (EOFError, ConnectionError):
            return 0
        if not isinstance(frame, Listen):
            return 2
        try:
            heard = whisper.listen(np.frombuffer(frame.pcm, np.int16))
        except Exception as error:  # noqa: BLE001 - whatever it is, the relay decides
            send(link, Failed(type(error).__name__))
        else:
            send(link, Heard(heard))


def _limit(memory_mib: int) -> None:
    """Bound the memory, and be the first that the kernel ends when it runs out."""
    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold speech
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    sys.exit(main())
