"""The ``[encounters]`` table of a relay's configuration.

::

    [encounters]
    departments = ["ED"]

    [encounters.bays]
    "ED^12^A" = "bay-12"

    [encounters.units]
    "bay-12-unit" = "bay-12"
"""

from typing import Literal, NamedTuple

from msgspec import Struct


class Place(NamedTuple):
    """Where a message says the patient is: ``bay`` is empty while in none of ours."""

    bay: str
    inside: bool


class EncountersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the bays are.

    Attributes:
        departments: points of care (PV1-3.1) that are the department's; without any, those
            named in ``bays``; without either, every location is.
        bays: bay by location, ``POINT^ROOM^BED`` as in PV1-3, without empty ends.
        units: bay by appliance; an appliance that has recorded is known without it.
        open_on: what opens recording in a bay: a patient there by ADT, or only a tap.
    """

    departments: tuple[str, ...] = ()
    bays: dict[str, str] = {}
    units: dict[str, str] = {}
    open_on: Literal["adt", "tap"] = "adt"

    def place(self, point: str, room: str, bed: str) -> Place | None:
        """The place of a location; None if the message names none."""
        if not (point or room or bed):
            return None
        location = f"{point}^{room}^{bed}".rstrip("^")
        if location in self.bays:
            return Place(self.bays[location], inside=True)
        departments = self.departments or {key.split("^")[0] for key in self.bays}
        if departments and point not in departments:
            return Place("", inside=False)
        if self.bays:
            return Place("", inside=True)
        return Place("-".join(part for part in (room, bed) if part) or point, inside=True)
