"""What the health checks can be told."""

from typing import Annotated

from msgspec import Meta, Struct


class HealthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[health]`` table.

    Attributes:
        require_synchronised_clock: whether a unit without it may not go live.
        write_budget_gib_per_day: most that a day of recording may write to flash.
        report_s: seconds between two reports to the relay.
    """

    require_synchronised_clock: bool = False
    write_budget_gib_per_day: Annotated[float, Meta(gt=0)] = 8.0
    report_s: Annotated[float, Meta(gt=0)] = 30.0
