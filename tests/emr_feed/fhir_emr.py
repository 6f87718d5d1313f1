"""A small FHIR server and resources of one patient's visit."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

Resource = dict[str, Any]
PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": "4711"}],
    "name": [{"family": "Doe", "given": ["Jane"]}],
    "gender": "female",
    "birthDate": "1956-04-01",
}
ENCOUNTER: Resource = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "in-progress",
    "class": {"code": "EMER"},
    "identifier": [{"value": "V1"}],
    "subject": {"reference": "Patient/p1"},
    "period": {"start": "2026-11-23T11:50:00Z"},
    "location": [{"location": {"reference": "Location/12"}}],
    "reasonCode": [{"text": "Chest pain"}],
}


def of_visit(kind: str, ident: str, **members: Any) -> Resource:  # noqa: ANN401 - JSON
    """A resource of this visit."""
    whose = {"subject": {"reference": "Patient/p1"}, "encounter": {"reference": "Encounter/e1"}}
    if kind == "MedicationAdministration":
        whose["context"] = whose.pop("encounter")
    return {"resourceType": kind, "id": ident, **whose, **members}


def observation(ident: str, loinc: str, value: float, unit: str, **members: Any) -> Resource:  # noqa: ANN401 - JSON
    """A measured value."""
    return of_visit(
        "Observation",
        ident,
        **{
            "status": "final",
            "code": coded("http://loinc.org", loinc),
            "valueQuantity": {"value": value, "code": unit},
            "effectiveDateTime": "2026-11-23T12:05:00Z",
            **members,
        },
    )


def coded(system: str, code: str, text: str = "") -> Resource:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}


def bundle(
    kind: str,
    since_start: int,
    *events: tuple[int, Resource],
    content: str = "full-resource",
    subscription: str = "Subscription/s1",
) -> Resource:
    """A backport notification for R4."""
    parameters: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": subscription}},
        {"name": "status", "valueCode": "active"},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(since_start)},
    ]
    entries: list[Resource] = []
    for number, resource in events:
        reference = f"{resource['resourceType']}/{resource['id']}"
        parts: list[Resource] = [{"name": "event-number", "valueString": str(number)}]
        if content != "empty":
            parts.append({"name": "focus", "valueReference": {"reference": reference}})
            entries.append({"fullUrl": f"https://emr.example/fhir/{reference}"})
            if content == "full-resource":
                entries[-1]["resource"] = resource
        parameters.append({"name": "notification-event", "part": parts})
    status = {"resourceType": "Parameters", "id": "status", "parameter": parameters}
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}, *entries]}


class Emr:
    """Serves reads; ``failing`` reads of any kind are answered with 503."""

    def __init__(self) -> None:
        self.chart: dict[str, Resource] = {}
        self.failing = 0
        self.reads: list[str] = []
        self.base = ""
        self.put(PATIENT)
        self.put(ENCOUNTER)

    def put(self, resource: Resource) -> Resource:
        """Chart a resource."""
        self.chart[f"{resource['resourceType']}/{resource['id']}"] = resource
        return resource

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Emr"]:
        """Serve until the end of the block."""
        application = web.Application()
        application.router.add_get("/fhir/{kind}/{id}", self._read)
        application.router.add_get("/fhir/{kind}", self._search)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}/fhir"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _fails(self, request: web.Request) -> bool:
        self.reads.append(request.path_qs.removeprefix("/fhir/"))
        self.failing -= self.failing > 0
        return self.failing > 0

    async def _read(self, request: web.Request) -> web.Response:
        if self._fails(request):
            return web.Response(status=503)
        found = self.chart.get(f"{request.match_info['kind']}/{request.match_info['id']}")
        return web.json_response(found) if found else web.Response(status=404)

    async def _search(self, request: web.Request) -> web.Response:
        if self._fails(request):
            return web.Response(status=503)
        kind = request.match_info["kind"]
        found = [{"resource": r} for r in self.chart.values() if r["resourceType"] == kind]
        return web.json_response({"resourceType": "Bundle", "type": "searchset", "entry": found})
