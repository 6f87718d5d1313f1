"""What the uplink needs of the buffer."""

from collections.abc import Sequence
from typing import Protocol


class OutgoingRecord(Protocol):
    """One record of the device's chain, as it will travel."""

    @property
    def header(self) -> bytes:
        """Header bytes as hashed."""
        ...

    @property
    def signature(self) -> bytes:
        """The device's signature on the link, 64 bytes."""
        ...

    @property
    def sealed(self) -> bytes:
        """Sealed payload; empty for a record without audio."""
        ...


class Outgoing(Protocol):
    """A durable buffer of records, numbered without holes.

    Other threads may append to it at any time.
    """

    @property
    def head(self) -> tuple[int, bytes]:
        """Number of the newest record ever appended (0: none) and the chain value after it."""
        ...

    def pending(self, after_seq: int, limit: int) -> Sequence[OutgoingRecord]:
        """Unacknowledged records with numbers above ``after_seq``, in order, at most ``limit``."""
        ...

    def acknowledge(self, through: int) -> None:
        """The relay has everything through this number on its durable storage."""
        ...
