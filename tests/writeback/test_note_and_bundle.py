"""What may be submitted, and the transaction made of it."""

import base64
import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe.errors import BadUse, IntegrityError
from bayscribe_relay.gateway.document import read_document
from bayscribe_relay.gateway.outcome import Refused
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import loinc_valid, npi_valid, read_note
from bayscribe_relay.writeback.validation import check_bundle
from writeback.rig import NPI, TEXT, a_note, encoded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def paths(node: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for name, value in items:
        found += paths(value, (*here, name))
    return found


PATHS = paths(a_note())


@given(st.sampled_from(PATHS), JSON)
def test_a_note_with_anything_anywhere_is_taken_whole_or_refused_in_one_line(
    path: tuple[Any, ...], value: object
) -> None:
    note = a_note()
    node: Any = note
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    try:
        taken = read_note(json.dumps(note).encode())
        check_bundle(make_bundle(taken))
    except BadUse as error:
        said = error.line()
    else:
        return
    assert "\n" not in said
    assert len(said) < 500


@given(st.binary(max_size=200))
def test_bytes_that_are_no_note_are_refused(data: bytes) -> None:
    with pytest.raises(BadUse):
        read_note(data)


def test_check_digits() -> None:
    # 1234567893 is the worked example of CMS's NPI check digit paper.
    assert npi_valid("1234567893")
    assert not any(npi_valid(f"123456789{digit}") for digit in "012456789")
    assert loinc_valid("34878-9")
    assert loinc_valid("11488-4")
    assert not loinc_valid("34878-8")


def test_a_refusal_names_the_path_and_not_the_value() -> None:
    note = a_note()
    note["patient"]["sex"] = "Jane Doe's secret"
    with pytest.raises(BadUse, match=r"patient\.sex") as refused:
        read_note(encoded(note))
    assert "secret" not in refused.value.line()
    note = a_note()
    note["models"][0]["hash"] = 1
    with pytest.raises(BadUse, match=r"models\[0\]\.hash: is not a known key"):
        read_note(encoded(note))


@pytest.mark.parametrize(
    "content",
    ["<a>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a>\x00</a>", "no markup"],
)
def test_markup_must_be_well_formed_and_without_entities(content: str) -> None:
    note = a_note(content=content)
    note["note"]["media_type"] = "application/cda+xml"
    with pytest.raises(BadUse):
        read_note(encoded(note))


def a_bundle(**changes: Any) -> tuple[str, bytes]:  # noqa: ANN401 - members of a note
    note = read_note(encoded(a_note(**changes)))
    return str(note.idempotency_key), make_bundle(note)


def test_the_bundle_is_the_same_bytes_each_time_and_holds_what_was_attested() -> None:
    key, raw = a_bundle()
    assert raw == a_bundle(idempotency_key=key)[1]
    entries = {e["resource"]["resourceType"]: e for e in json.loads(raw)["entry"]}
    assert set(entries) == {"Binary", "DocumentReference", "Provenance"}
    assert all(entry["request"]["method"] == "PUT" for entry in entries.values())
    binary = base64.b64decode(entries["Binary"]["resource"]["data"])
    assert binary == TEXT.encode()
    reference = entries["DocumentReference"]["resource"]
    assert reference["content"][0]["attachment"]["url"] == entries["Binary"]["request"]["url"]
    assert reference["type"]["coding"][0]["code"] == "34878-9"
    provenance = json.dumps(entries["Provenance"]["resource"])
    digests = ["a" * 64, "b" * 64, "c" * 64, hashlib.sha256(binary).hexdigest()]
    words = [NPI, "hpi-1", "modified", "sep1-lactate", "answered", "urn:bayscribe:device:bay-1"]
    for said in digests + words:
        assert said in provenance


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("DocumentReference", ("status",), "not-a-status"),
        ("DocumentReference", ("content",), []),
        ("Provenance", ("agent",), []),
        ("Provenance", ("recorded",), "yesterday"),
        ("Binary", ("contentType",), None),
    ],
)
def test_a_bundle_that_is_not_r4_does_not_leave(kind: str, path: tuple[str], value: object) -> None:
    tree = json.loads(a_bundle()[1])
    (resource,) = (e["resource"] for e in tree["entry"] if e["resource"]["resourceType"] == kind)
    resource[path[0]] = value
    with pytest.raises(IntegrityError, match=path[0]):
        check_bundle(json.dumps(tree, separators=(",", ":")).encode())


def test_the_gateway_takes_only_the_transaction_of_the_key() -> None:
    key, raw = a_bundle()
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    document = read_document(key, raw, digest)
    assert document.encounter == "Encounter/e1"
    with_list = document.with_entry({"resource": {"resourceType": "List"}})
    assert with_list.startswith(raw[:-2])
    assert len(json.loads(with_list)["entry"]) == 4
    with pytest.raises(Refused):
        read_document(key, raw, "0" * 64)
    with pytest.raises(Refused):
        read_document(a_bundle()[0], raw, digest)


@given(st.sampled_from(paths(json.loads(a_bundle()[1]))), JSON)
def test_a_bundle_with_anything_anywhere_is_taken_or_refused(
    path: tuple[Any, ...], value: object
) -> None:
    key, raw = a_bundle(idempotency_key="01890000-0000-7000-8000-000000000001")
    tree = copy.deepcopy(json.loads(raw))
    node = tree
    try:
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value
        read_document(key, json.dumps(tree).encode(), hashlib.sha256(TEXT.encode()).hexdigest())
    except (Refused, KeyError):
        pass
