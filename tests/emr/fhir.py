"""FHIR R4 interactions over the store: read, search, create, update, transaction.

Section numbers are of the FHIR R4 specification, "RESTful API" (http.html).
"""

import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from emr.checks import check_resource
from emr.refusal import Refusal
from emr.settings import Fault, Settings
from emr.store import Resource, Store, Stored

TYPES: Final = (
    "Binary",
    "Device",
    "DocumentReference",
    "Encounter",
    "List",
    "Patient",
    "Practitioner",
    "Provenance",
)
_SEARCHABLE: Final = {
    "Binary": {"_id"},
    "Device": {"_id", "identifier", "type"},
    "DocumentReference": {
        "_id", "identifier", "patient", "subject", "encounter", "status", "type", "author",
    },
    "Encounter": {"_id", "identifier", "patient", "subject", "status", "class"},
    "List": {"_id", "identifier", "patient", "subject", "encounter", "status", "code", "source"},
    "Patient": {"_id", "identifier"},
    "Practitioner": {"_id", "identifier"},
    "Provenance": {"_id", "target", "patient"},
}  # fmt: skip
_RESULT_PARAMS: Final = {"_count", "_summary", "_format", "_sort", "_total", "_elements"}
_ETAG: Final = re.compile(r'^(?:W/)?"(?P<version>[^"]+)"$')


@dataclass
class Answer:
    """What an interaction says: status, resource and its headers."""

    status: int
    body: Resource
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Conditions:
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None


class Fhir:
    """The interactions.

    Args:
        store: where resources are kept.
        settings: read afresh for each request.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def now(self) -> float:
        """The EMR's clock, which may be wrong."""
        return time.time() + self.settings.clock_skew_s

    def read(self, kind: str, ident: str, version: str | None = None) -> Answer:
        """Read, or vread of the current version (3.1.0.1, 3.1.0.2)."""
        stored = self.store.get(kind, ident)
        if stored is None or (version is not None and version != str(stored.version)):
            raise Refusal(404, "not-found", f"{kind}/{ident} is not known")
        return _answer(200, stored)

    def search(self, kind: str, query: dict[str, list[str]]) -> Answer:
        """Search of one type (3.1.1); an unknown parameter is refused when strict."""
        wanted: dict[str, list[str]] = {}
        for name, values in query.items():
            plain = name.partition(":")[0]
            if plain in _RESULT_PARAMS:
                continue
            if plain not in _SEARCHABLE[kind]:
                if self.settings.strict_search:
                    raise Refusal(400, "not-supported", f"{kind} cannot be searched by {name}")
                continue
            wanted[plain] = [value for text in values for value in text.split(",")]
        found = self.store.search(kind, wanted)
        bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        if query.get("_summary") != ["count"]:
            bundle["entry"] = [
                {"fullUrl": f"{kind}/{s.id}", "resource": _with_meta(s)} for s in found
            ]
        return Answer(200, bundle)

    def write(self, method: str, path: str, body: Resource, headers: dict[str, str]) -> Answer:
        """Create or update of one resource, in a transaction of its own."""
        conditions = _Conditions(
            headers.get("if-match"), headers.get("if-none-match"), headers.get("if-none-exist")
        )
        with self.store.atomic():
            return self._write(method, path.strip("/"), body, conditions)

    def transaction(self, bundle: Resource, fault: Fault | None) -> Answer:
        """A transaction (3.1.0.11.2): everything or nothing, references between entries resolved.

        Args:
            bundle: the Bundle as received.
            fault: one of those that change what is stored, or None.
        """
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            raise Refusal(400, "invalid", "a Bundle of type transaction is expected here")
        answers: list[Resource] = []
        with self.store.atomic() as change:
            entries = self._resolve(bundle.get("entry", []))
            for place, entry in enumerate(entries):
                if fault is Fault.PARTIAL and place == len(entries) - 1 and place > 0:
                    answers.append(_too_many_entry())
                    continue
                if fault is Fault.ALTERED:
                    _alter(entry.get("resource", {}))
                answers.append(self._entry(entry))
            if fault in (Fault.STORED_BUT_LOST, Fault.ENTRY_429):
                change.discard()
        if fault is Fault.ENTRY_429:
            answers = [_too_many_entry() for _ in answers]
        response = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        return Answer(200, response)

    def _entry(self, entry: Resource) -> Resource:
        request = entry.get("request", {})
        conditions = _Conditions(
            request.get("ifMatch"), request.get("ifNoneMatch"), request.get("ifNoneExist")
        )
        method, url = request.get("method", ""), request.get("url", "")
        if "assigned" in request:
            answer = self._assigned(url, request["assigned"], entry["resource"])
        else:
            answer = self._write(method, url, entry.get("resource", {}), conditions)
        kind, ident = answer.body["resourceType"], answer.body["id"]
        version = answer.body["meta"]["versionId"]
        return {
            "response": {
                "status": "201 Created" if answer.status == 201 else f"{answer.status} OK",
                "location": f"{kind}/{ident}/_history/{version}",
                "etag": f'W/"{version}"',
                "lastModified": answer.body["meta"]["lastUpdated"],
            }
        }

    def _assigned(self, kind: str, ident: str, body: Resource) -> Answer:
        """A POST whose id was settled when the references were resolved."""
        if kind not in TYPES or body.get("resourceType") != kind:
            raise Refusal(400, "invalid", f"a {kind} is expected")
        stored = self.store.get(kind, ident)
        if stored is not None:
            return _answer(200, stored)
        return self._put(kind, ident, body, created=True)

    def _resolve(self, entries: list[Resource]) -> list[Resource]:
        """Give each POSTed entry its id and put ids in the place of ``urn:uuid`` references."""
        places: dict[str, str] = {}
        for entry in entries:
            request, full = entry.get("request", {}), entry.get("fullUrl", "")
            url = request.get("url", "")
            if request.get("method") == "PUT" and full:
                places[full] = url
            elif request.get("method") == "POST" and full and url in TYPES:
                request["assigned"] = self._existing(url, request) or str(uuid.uuid4())
                places[full] = f"{url}/{request['assigned']}"
        urls = self.settings.rewrites_attachment_url
        return [_replace(entry, places, urls) for entry in entries]

    def _existing(self, kind: str, request: Resource) -> str | None:
        """The resource that ``ifNoneExist`` finds."""
        condition = request.get("ifNoneExist")
        if not condition or not self.settings.conditional_create:
            return None
        found = self.store.search(kind, _query(condition))
        if len(found) > 1:
            raise Refusal(412, "multiple-matches", "If-None-Exist matches more than one")
        return found[0].id if found else None

    def _write(self, method: str, path: str, body: Resource, conditions: _Conditions) -> Answer:
        kind, _, ident = path.partition("/")
        if kind not in TYPES:
            raise Refusal(404, "not-supported", f"this server holds no {kind or 'such type'}")
        if body.get("resourceType") != kind:
            raise Refusal(400, "invalid", f"a {kind} is expected at {path}")
        if method == "POST" and not ident:
            return self._create(kind, body, conditions)
        if method == "PUT" and ident and "?" not in ident:
            return self._update(kind, ident, body, conditions)
        raise Refusal(405, "not-supported", f"{method} {path} is not supported")

    def _create(self, kind: str, body: Resource, conditions: _Conditions) -> Answer:
        if conditions.if_none_exist and self.settings.conditional_create:
            found = self.store.search(kind, _query(conditions.if_none_exist))
            if len(found) > 1:
                raise Refusal(412, "multiple-matches", "If-None-Exist matches more than one")
            if found:
                return _answer(200, found[0])
        return self._put(kind, str(uuid.uuid4()), body, created=True)

    def _update(self, kind: str, ident: str, body: Resource, conditions: _Conditions) -> Answer:
        if body.get("id") != ident:
            raise Refusal(400, "invalid", "the resource's id is not the one of the address")
        stored = self.store.get(kind, ident)
        if stored is None and not self.settings.update_create:
            raise Refusal(405, "not-supported", "clients may not choose ids on this server")
        if conditions.if_none_match == "*" and stored is not None:
            raise Refusal(412, "conflict", f"{kind}/{ident} exists")
        if conditions.if_match and self.settings.honours_if_match:
            match = _ETAG.match(conditions.if_match)
            current = str(stored.version) if stored else None
            if match is None or match["version"] != current:
                raise Refusal(412, "conflict", f"{kind}/{ident} is at version {current}")
        return self._put(kind, ident, body, created=stored is None)

    def _put(self, kind: str, ident: str, body: Resource, *, created: bool) -> Answer:
        check_resource(body, self.store, strict_references=self.settings.strict_references)
        kept = {name: value for name, value in body.items() if name not in ("id", "meta")}
        stored = self.store.put(kind, ident, kept, self.now())
        return _answer(201 if created else 200, stored)


def instant(seconds: float) -> str:
    """A FHIR instant, UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_meta(stored: Stored) -> Resource:
    meta = {"versionId": str(stored.version), "lastUpdated": instant(stored.updated)}
    return {**stored.body, "id": stored.id, "meta": meta}


def _answer(status: int, stored: Stored) -> Answer:
    headers = {"ETag": f'W/"{stored.version}"'}
    if status == 201:
        headers["Location"] = f"{stored.type}/{stored.id}/_history/{stored.version}"
    return Answer(status, _with_meta(stored), headers)


def _query(text: str) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    return parse_qs(text.rpartition("?")[2])


def _replace(node: Any, places: dict[str, str], urls: bool) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        changed = {}
        for name, value in node.items():
            is_reference = name == "reference" or (name == "url" and urls)
            if is_reference and isinstance(value, str) and value in places:
                changed[name] = places[value]
            elif name == "reference" and isinstance(value, str) and value.startswith("urn:uuid:"):
                raise Refusal(400, "invalid", "a urn:uuid reference leads to no entry")
            else:
                changed[name] = _replace(value, places, urls)
        return changed
    if isinstance(node, list):
        return [_replace(item, places, urls) for item in node]
    return node


def _alter(resource: Resource) -> None:
    if resource.get("resourceType") == "Binary":
        resource["data"] = "YWx0ZXJlZA=="  # "altered"


def _too_many_entry() -> Resource:
    issue = {"severity": "error", "code": "throttled", "diagnostics": "too many requests"}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return {"response": {"status": "429 Too Many Requests", "outcome": outcome}}
