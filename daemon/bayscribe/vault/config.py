"""What the buffer can be told."""

from typing import Annotated

from msgspec import Meta, Struct


class VaultConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[vault]`` table.

    Attributes:
        quota_mib: most that the buffer may take on the disk. A bay records about
            1.4 GiB in 24 hours of uninterrupted audio.
        reserve_mib: free space that is left to the rest of the system.
        retain_mib: how much of the quota acknowledged records may go on taking, as evidence
            that cannot be opened any more; the oldest go first, and at once when
            unacknowledged ones need the room. 0 removes a record when it is acknowledged.
        warn_fraction: share of the quota from which operators are told.
        high_fraction: share from which they are alarmed; unacknowledged audio is at risk
            only at 1.
    """

    quota_mib: Annotated[int, Meta(ge=8)] = 8192
    reserve_mib: Annotated[int, Meta(ge=0)] = 256
    retain_mib: Annotated[int, Meta(ge=0)] = 0
    warn_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    high_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.6
