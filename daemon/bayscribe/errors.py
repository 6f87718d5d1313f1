"""The error tree of the product.

::

    BayscribeError
    ├── BadUse            the caller's input, configuration or command line (exit 2)
    │   ├── ConfigError   a TOML file: names file, key, value and what was expected
    │   ├── AudioFormatError  a recording or a PCM of the wrong rate, width or channel count
    │   ├── ProfileError  an array profile that is missing or impossible
    │   └── ModelError    a network that is missing or does not match its manifest
    ├── CaptureError      the microphone array (absent, unplugged, misaligned)
    ├── IntegrityError    a hash, chain, signature or sealed payload that does not verify
    ├── StorageError      the disk under the buffer or the store (full, read-only, failing)
    └── LinkError         the connection between appliance, relay and gateway

Every error carries a stable ``code`` for programs and ``what_to_do`` for people.
No error text ever contains audio, a voiceprint, patient data or key material.
"""

from typing import ClassVar


class BayscribeError(Exception):
    """Base of every error that this product raises on purpose.

    Args:
        message: one line: what is wrong, with the names and values that identify it.
        what_to_do: one line: what the person who reads it should do next.
        code: a stable machine-readable code; the class's own by default.
    """

    code: str = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, what_to_do: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.what_to_do = what_to_do
        if code is not None:
            self.code = code

    def line(self) -> str:
        """The error as the one line that a command prints on stderr."""
        text = f"{self} [{self.code}]"
        return f"{text}: {self.what_to_do}" if self.what_to_do else text


class BadUse(BayscribeError):  # noqa: N818 - it is the caller's mistake, not the program's
    """Bad input, bad configuration or a bad command line: exit status 2."""

    code = "bad-use"
    exit_status = 2


class ConfigError(BadUse):
    """A configuration file that cannot be taken."""

    code = "config"


class AudioFormatError(BadUse):
    """A recording or PCM whose rate, sample format or channel count is not the expected one."""

    code = "audio-format"


class ProfileError(BadUse):
    """An array profile that is unknown or not physically possible."""

    code = "array-profile"


class ModelError(BadUse):
    """A network file that is missing, altered or not runnable here."""

    code = "model"


class CaptureError(BayscribeError):
    """The microphone array cannot be read."""

    code = "capture"


class IntegrityError(BayscribeError):
    """A hash, chain link, signature or sealed payload that does not verify."""

    code = "integrity"


class StorageError(BayscribeError):
    """The disk under the buffer or the store does not do what it must."""

    code = "storage"


class LinkError(BayscribeError):
    """The connection to the other side."""

    code = "link"
