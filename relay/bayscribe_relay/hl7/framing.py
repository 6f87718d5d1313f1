"""MLLP frames: 0x0B, message, 0x1C 0x0D.

Minimal Lower Layer Protocol (HL7 v2.5.1, appendix C of the implementation support guide).
"""

from typing import Final

START: Final = b"\x0b"
END: Final = b"\x1c\r"
FRAME_MAX: Final = 16 * 1024 * 1024


class Framer:
    """Cuts a byte stream into frames; what is outside a frame is passed over.

    ``push(data) -> frames``; the same for any chunking. A frame that begins inside another
    one takes its place: its sender gave up the first.

    Attributes:
        strayed: bytes that stood outside a frame.
    """

    def __init__(self, most: int = FRAME_MAX) -> None:
        self._buffer = bytearray()
        self._most = most
        self._searched = 0
        self.strayed = 0

    @property
    def pending(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return bool(self._buffer)

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes; the frames that they complete.

        Raises:
            ValueError: a frame is larger than allowed.
        """
        self._buffer += data
        frames: list[bytes] = []
        while True:
            if not self._searched:
                start = self._buffer.find(START)
                if start < 0:
                    self.strayed += len(self._buffer)
                    self._buffer.clear()
                    return frames
                self.strayed += start
                del self._buffer[:start]
            end = self._buffer.find(END, max(0, self._searched - 1))
            if end < 0:
                if len(self._buffer) > self._most:
                    raise ValueError("frame too large")
                self._searched = len(self._buffer)
                return frames
            if end > self._most:
                raise ValueError("frame too large")
            begun = self._buffer.rfind(START, 0, end)
            self.strayed += begun
            frames.append(bytes(self._buffer[begun + 1 : end]))
            del self._buffer[: end + len(END)]
            self._searched = 0
