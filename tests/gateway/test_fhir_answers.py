"""Whatever an EMR answers is judged without a crash, and capabilities are read as they stand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayscribe_relay.gateway.fhir.capability import read_capability, scope_allows
from bayscribe_relay.gateway.fhir.client import Answer, outcome_words
from bayscribe_relay.gateway.fhir.readback import _digest, _entries, _matches, _targets
from bayscribe_relay.gateway.fhir.writer import _entry_statuses
from bayscribe_relay.gateway.outcome import TryAgain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["rest", "mode", "resource", "type", "interaction", "code", "entry", "response",
                 "status", "outcome", "issue", "resourceType", "details", "identifier", "value",
                 "target", "reference", "data", "expression"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)  # fmt: skip
OBJECT = st.dictionaries(st.text(max_size=12), JSON, max_size=4) | JSON.filter(
    lambda value: isinstance(value, dict)
)


@given(OBJECT, st.integers(0, 599))
def test_any_answer_is_judged(body: dict[str, Any], status: int) -> None:
    answer = Answer(status, body, "")
    assert len(answer.words()) <= 1_000
    assert all(isinstance(found, int) for found, _ in _entry_statuses(answer))
    read_capability(body, "system/*.cu")
    read_capability({"rest": [{"mode": "server", **body}]}, None)
    _targets(body, "DocumentReference/1")
    _digest(body)
    try:
        _entries(answer)
        _matches(answer, "key")
    except TryAgain:
        assert not answer.ok


@given(JSON)
def test_any_operation_outcome_becomes_one_line(issue: object) -> None:
    words = outcome_words({"resourceType": "OperationOutcome", "issue": issue})
    assert "\n" not in words


def test_an_operation_outcome_in_words() -> None:
    issue = [
        {"diagnostics": "status is required", "expression": ["DocumentReference.status"]},
        {"details": {"text": "and\nmore"}},
        {"code": "invariant"},
    ]
    words = outcome_words({"resourceType": "OperationOutcome", "issue": issue})
    assert words == "status is required (DocumentReference.status); and more; invariant"


@pytest.mark.parametrize(
    ("scopes", "action", "allowed"),
    [
        (None, "u", True),
        ("system/*.write", "u", True),
        ("system/*.*", "c", True),
        ("system/*.read", "u", False),
        ("system/DocumentReference.write", "u", True),
        ("system/Binary.write", "u", False),
        ("system/DocumentReference.cu", "u", True),
        ("system/DocumentReference.cu", "c", True),
        ("system/DocumentReference.c", "u", False),
        ("system/DocumentReference.rs", "u", False),
        ("system/DocumentReference.rs", "r", True),
        ("system/DocumentReference.cruds?category=clinical-note", "u", True),
        ("openid launch system/DocumentReference.u", "u", True),
        ("", "u", False),
    ],
)
def test_scopes_of_both_syntaxes(scopes: str | None, action: str, allowed: bool) -> None:
    assert scope_allows(scopes, "DocumentReference", action) is allowed


def statement(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of a CapabilityStatement
    kinds = ("Binary", "DocumentReference", "Provenance", "List", "Encounter")
    codes = [{"code": code} for code in changes.get("codes", ("read", "create", "update"))]
    rest = {
        "mode": "server",
        "interaction": [{"code": changes.get("system", "transaction")}],
        "resource": [
            {"type": kind, "interaction": codes, "updateCreate": changes.get("own", True)}
            for kind in changes.get("kinds", kinds)
        ],
    }
    return {"resourceType": "CapabilityStatement", "rest": [rest]}


def test_a_capability_statement_decides() -> None:
    whole = read_capability(statement(), "system/*.write system/*.read")
    assert (whole.write, whole.own_ids, whole.lists, whole.encounters) == (True,) * 4
    assert not read_capability(statement(system="batch"), None).write
    assert not read_capability(statement(codes=("read",)), None).write
    read_only = read_capability(statement(), "system/*.rs")
    assert (read_only.write, read_only.why) == (False, "writing Binary is not granted")
    no_provenance = read_capability(statement(kinds=("Binary", "DocumentReference")), None)
    assert no_provenance.why == "writing Provenance is not offered"
    unlisted = read_capability(statement(kinds=("DocumentReference", "Provenance")), None)
    assert (unlisted.write, unlisted.own_ids, unlisted.lists) == (True, True, False)
    posts = read_capability(statement(own=False), None)
    assert (posts.write, posts.own_ids, posts.lists) == (True, False, False)
