"""The Encounter resource: where the patient was, arrival, departure, complaints."""

from typing import Final

from bayscribe_relay.emr_feed.fhir_chart import Chart
from bayscribe_relay.emr_feed.fhir_notice import local
from bayscribe_relay.emr_feed.fhir_values import node, nodes, text
from bayscribe_relay.emr_feed.interpretation import Movement
from bayscribe_relay.encounters.course import MovementKind


def visit(chart: Chart) -> None:
    """The Encounter's arrival, departure and complaints; where it was is read apart."""
    r, who = chart.resource, chart.result.who
    status, period = text(r.get("status")), node(r.get("period"))
    arrived, left = chart.time(period.get("start")), chart.time(period.get("end"))
    if status not in ENCOUNTER_STATUS or who is None:
        return
    if arrived is not None:
        chart.add(["adt.arrival"], {}, "arrival", kind="adt", clinical_ns=arrived)
        for number, reason in enumerate(nodes(r.get("reasonCode"))):
            concepts = [m.concept for m in chart.find("reason", reason)]
            chart.add(concepts or [""], reason, f"reason{number}", kind="cc", clinical_ns=arrived)
    if left is not None and status == "finished":
        chart.add(["adt.departed"], {}, "departed", kind="adt", clinical_ns=left)


ENCOUNTER_STATUS: Final[dict[str, MovementKind]] = {
    "arrived": "register",
    "triaged": "register",
    "in-progress": "register",
    "onleave": "register",
    "finished": "discharge",
    "cancelled": "cancel-admit",
    "entered-in-error": "cancel-admit",
}
"""What an Encounter's status says of the stay; a planned one is none yet."""


def movements(chart: Chart) -> list[Movement]:
    """Where an Encounter says that the patient was, in order of time.

    The bay of a location is looked up by its reference (``Location/12``), else its display.
    """
    r = chart.resource
    kind = ENCOUNTER_STATUS.get(text(r.get("status")))
    period = node(r.get("period"))
    start, end = chart.time(period.get("start")), chart.time(period.get("end"))
    if r.get("resourceType") != "Encounter" or kind is None:
        return []
    ident, own = text(r.get("id")), text(node(r.get("class")).get("code"))
    begun = chart.received_ns if start is None else start
    found: list[Movement] = []

    def moved(kind: MovementKind, at: int, location: str = "") -> None:
        found.append(
            Movement(
                kind=kind,
                at_ns=at,
                location=(location, "", ""),
                patient_class="E" if own in ("EMER", "") else own,
                arrived_ns=start,
                fhir_id=ident,
                source=f"fhir {kind}"[:32],
            )
        )

    for place in nodes(r.get("location")):
        if text(place.get("status")) in ("planned", "reserved"):
            continue
        where = node(place.get("location"))
        name = local(where.get("reference")) or text(where.get("display"))
        at = chart.time(node(place.get("period")).get("start"))
        moved("transfer" if found else "register", begun if at is None else at, name)
    if not found:
        moved("register", begun)
    if kind == "discharge" or kind == "cancel-admit":
        moved(kind, chart.received_ns if end is None else end)
    return found
