"""What a Subscription notification says: R4 rest-hook and the R5 backport's Bundles.

HL7 FHIR R4 ``Subscription``; "Subscriptions R5 Backport" implementation guide 1.1: in R4 the
Bundle is a ``history`` whose first entry is a ``Parameters`` in the place of R5's
``SubscriptionStatus``. No input or output here.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

TYPES: Final = (
    "Observation",
    "ServiceRequest",
    "MedicationAdministration",
    "MedicationRequest",
    "Encounter",
    "Patient",
    "DiagnosticReport",
    "Condition",
    "Procedure",
)
"""Resources that become events."""

REFERENCE: Final = re.compile(
    r"(?:^|/)([A-Z][A-Za-z]{2,40})/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?$"
)

NoticeType = Literal["handshake", "heartbeat", "event-notification", "query-status", "rest-hook"]
_TYPES: Final = ("handshake", "heartbeat", "event-notification", "query-status")

_STATUS: Final = ("Parameters", "SubscriptionStatus")

Resource = dict[str, Any]


class BadNotice(ValueError):  # noqa: N818 - answered to its sender with 400
    """Not a notification; the text says why, without values."""


@dataclass
class Notice:
    """A notification.

    Attributes:
        type: what kind.
        subscription: its reference, empty if it does not say.
        since_start: events of the subscription so far, None if it does not say.
        numbers: of the events in this one.
        focus: references to read.
        resources: that came along, by ``Type/id``.
    """

    type: NoticeType
    subscription: str = ""
    since_start: int | None = None
    numbers: list[int] = field(default_factory=list)
    focus: list[str] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)


_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def decode(body: bytes) -> object:
    """JSON without NUL characters: FHIR forbids them, and PostgreSQL keeps none.

    Raises:
        DecodeError, UnicodeDecodeError, RecursionError: it is not JSON that can be read.
    """
    return msgspec.json.decode(_NUL.sub(rb"\1", body))


def notice(body: bytes) -> Notice:
    """Read a notification; an empty body is a rest-hook without payload.

    Raises:
        BadNotice: it is not JSON, not a resource, or a Bundle of another kind.
    """
    if not body.strip():
        return Notice("rest-hook")
    try:
        found = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadNotice("the body is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        raise BadNotice("the body is not a FHIR resource")
    if found["resourceType"] != "Bundle":
        reference = reference_of(found)
        if not reference:
            raise BadNotice("the resource has no id")
        return Notice("rest-hook", focus=[reference], resources={reference: found})
    if found.get("type") not in ("history", "subscription-notification", "transaction", "batch"):
        raise BadNotice("the Bundle is no notification")
    return _bundle(found)


def reference_of(resource: Resource) -> str:
    """``Type/id`` of a resource, empty if it has none."""
    kind, ident = resource.get("resourceType"), resource.get("id")
    if not (isinstance(kind, str) and isinstance(ident, str)):
        return ""
    reference = f"{kind}/{ident}"
    return reference if REFERENCE.fullmatch(reference) else ""


def local(reference: object) -> str:
    """``Type/id`` of a reference or URL, empty if it is neither."""
    match = REFERENCE.search(reference) if isinstance(reference, str) else None
    return f"{match[1]}/{match[2]}" if match else ""


def entries(bundle: Resource) -> list[Resource]:
    """The entries of a Bundle that are objects."""
    found = bundle.get("entry")
    return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []


def _bundle(bundle: Resource) -> Notice:
    told = Notice("rest-hook")
    for number, entry in enumerate(entries(bundle)):
        resource = entry.get("resource")
        if number == 0 and isinstance(resource, dict) and resource.get("resourceType") in _STATUS:
            _status(resource, told)
            continue
        if isinstance(resource, dict) and (reference := reference_of(resource)):
            told.resources[reference] = resource
            told.focus.append(reference)
        elif reference := local(entry.get("fullUrl")) or _requested(entry):
            told.focus.append(reference)
    told.focus = list(dict.fromkeys(told.focus))
    return told


def _requested(entry: Resource) -> str:
    request = entry.get("request")
    return local(request.get("url")) if isinstance(request, dict) else ""


def _status(resource: Resource, told: Notice) -> None:
    values = _flat(resource) if resource["resourceType"] == "Parameters" else resource
    kind = values.get("type")
    if kind not in _TYPES:
        raise BadNotice("the notification's type is missing or unknown")
    told.type = kind
    subscription = values.get("subscription")
    if isinstance(subscription, dict):
        reference = subscription.get("reference")
        told.subscription = reference[:300] if isinstance(reference, str) else ""
    told.since_start = _count(values.get("eventsSinceSubscriptionStart"))
    if told.since_start is None:
        told.since_start = _count(values.get("events-since-subscription-start"))
    events = values.get("notificationEvent") or values.get("notification-event") or []
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, dict):
            continue
        number = _count(event.get("eventNumber", event.get("event-number")))
        if number is not None:
            told.numbers.append(number)
        focus = event.get("focus")
        if isinstance(focus, dict) and (reference := local(focus.get("reference"))):
            told.focus.append(reference)


def _flat(parameters: Resource) -> Resource:
    """R4's Parameters as the object that R5 has; repeated names become lists."""
    flat: Resource = {}
    listed = parameters.get("parameter") or parameters.get("part") or []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        name = one["name"]
        value: Any = next((v for k, v in one.items() if k.startswith("value")), None)
        if value is None and isinstance(one.get("part"), list):
            value = _flat(one)
        if name.replace("-", "").lower() == "notificationevent":
            flat.setdefault(name, []).append(value)
        else:
            flat[name] = value
    return flat


def _count(value: object) -> int | None:
    """A count: an integer, or R4's and R5's integer64 as a string."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and 0 <= value < 2**62 else None
