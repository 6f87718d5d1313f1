"""What the gateway reads out of a note's Bundle, and the checks before anything is written.

The Bundle must be the transaction that the relay makes: three PUTs whose ids follow from
the key, and a Binary whose bytes hash to what was attested.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bayscribe_relay.gateway.outcome import Refused
from bayscribe_relay.writeback.bundle import TYPES, resource_id

Json = dict[str, Any]
_END: Final = b"]}"


@dataclass(frozen=True)
class Document:
    """A checked Bundle.

    Attributes:
        key: idempotency key.
        raw: its bytes, to which list entries can be appended.
        resources: by type.
        content: the note's bytes.
    """

    key: str
    raw: bytes
    resources: dict[str, Json]
    content: bytes

    def reference(self, kind: str) -> str:
        """``Type/id`` of one of its resources."""
        return f"{kind}/{self.resources[kind]['id']}"

    @property
    def patient(self) -> str:
        """``Patient/id``; empty if the note names its patient by record number alone."""
        return str(self.resources["DocumentReference"]["subject"].get("reference", ""))

    @property
    def encounter(self) -> str:
        """``Encounter/id``; empty likewise."""
        context = self.resources["DocumentReference"]["context"]
        return str(context["encounter"][0].get("reference", ""))

    def with_entry(self, entry: Json) -> bytes:
        """The transaction with one more entry; the signed bytes before it stay as they are."""
        return self.raw[: -len(_END)] + b"," + msgspec.json.encode(entry) + _END


def read_document(key: str, raw: bytes, note_sha256: str) -> Document:
    """Check a Bundle.

    Raises:
        Refused: it is not the transaction of this key and this note.
    """
    try:
        tree = msgspec.json.decode(raw)
        resources = {e["resource"]["resourceType"]: e["resource"] for e in tree["entry"]}
        requests = [(e["request"]["method"], e["request"]["url"]) for e in tree["entry"]]
        expected = [("PUT", f"{kind}/{resource_id(key, kind)}") for kind in TYPES]
        named = [f"{kind}/{resources[kind]['id']}" for kind in TYPES]
        content = base64.b64decode(resources["Binary"]["data"], validate=True)
        document = Document(key, raw, resources, content)
        fits = document.patient.startswith("Patient/")
        fits = fits and document.encounter.startswith("Encounter/")
        fits = fits or (document.patient, document.encounter) == ("", "")
    except (msgspec.DecodeError, KeyError, TypeError, IndexError, AttributeError, ValueError,
            binascii.Error, RecursionError):  # fmt: skip
        raise Refused("the Bundle is not a note's transaction") from None
    whole = tree.get("type") == "transaction" and raw.endswith(_END)
    if not (fits and whole and requests == expected and named == [url for _, url in expected]):
        raise Refused("the Bundle is not the transaction of this key")
    if hashlib.sha256(content).hexdigest() != note_sha256:
        raise Refused("the Bundle's note is not the one that was attested")
    return document
