"""Stays, events, utterances, prompts and drafts keep what was put in, and say what changed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from benchmarks.writeback import postgres

from bayscribe.errors import BadUse, IntegrityError
from bayscribe_relay.clinical import audit, tables
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Binding, Patient, Stay
from bayscribe_relay.clinical.store import Changes, ClinicalStore

STAY = Stay(
    id="a" * 32,
    site="demo",
    patient=Patient(mrn="M1", family="Doe"),
    visit_number="V1",
    bay="bay-3",
    arrived_ns=10,
    reason="A04",
)
EVENT = ClinicalEvent(
    id="hl7:LAB:1", version=1, visit_number="V1", kind="lab", value=4.2, clinical_ns=1,
    received_ns=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClinicalStore]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'relay.db'}"
    else:
        url = postgres.fresh_database(request.getfixturevalue("server"))
    opened = ClinicalStore(url)
    yield opened
    opened.close()


def test_a_stay_is_found_by_visit_bay_and_state(store: ClinicalStore) -> None:
    store.put_stay(STAY)
    store.put_stay(msgspec.structs.replace(STAY, bay="bay-4"))
    assert store.stay_of_visit("demo", "V1") == store.stay(STAY.id)
    assert [s.bay for s in store.stays(state="open")] == ["bay-4"]
    assert store.stays(bay="bay-3") == []
    assert store.stay_of_visit("other", "V1") is None


def test_an_event_that_comes_twice_is_kept_once(store: ClinicalStore) -> None:
    assert store.add_events([EVENT, EVENT]) == 1
    assert store.add_events([EVENT]) == 0
    corrected = msgspec.structs.replace(EVENT, version=2, value=2.4)
    assert store.add_events([corrected]) == 1


def test_events_before_their_stay_are_given_to_it(store: ClinicalStore) -> None:
    store.add_events([EVENT])
    store.move_events(store.unbound_events("V1"), STAY.id)
    assert [event.stay for event in store.events(STAY.id)] == [STAY.id]
    assert store.unbound_events("V1") == []


def test_a_failed_transaction_leaves_nothing(store: ClinicalStore) -> None:
    def fail_midway() -> None:
        with store.transaction() as link:
            store.add_events([EVENT], link)
            store.put_stay(STAY, link)
            audit.record(store, "test", "try", STAY.id, connection=link)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert store.stay(STAY.id) is None
    assert store.unbound_events("V1") == []
    assert list(audit.entries(store)) == []


def test_bindings_are_replaced_as_a_whole(store: ClinicalStore) -> None:
    first = Binding(stay=STAY.id, device="unit", recording="r", from_ns=1)
    store.bind(first)
    ended = msgspec.structs.replace(first, until_ns=5)
    next_stay = Binding(stay="b" * 32, device="unit", recording="r", from_ns=5)
    store.replace_bindings("r", [ended, next_stay])
    assert store.bindings(recording="r") == [ended, next_stay]
    assert store.bindings(stay="b" * 32) == [next_stay]


def test_an_utterance_tells_both_stays_when_it_moves(store: ClinicalStore) -> None:
    said = Utterance(
        id="r/1", device="unit", recording="r", stay=STAY.id, start=0, end=1, start_ns=1,
        end_ns=2, speaker="dr", primary=True, confidence=0.9, first_seq=1, last_seq=1,
        words=(Word("hello", 0.1, 0.4, 0.9),),
    )  # fmt: skip
    store.put_utterance(said)
    after = store.last_change()
    store.put_utterance(msgspec.structs.replace(said, stay="b" * 32))
    assert {change.stay for change in store.changes(after)} == {STAY.id, "b" * 32}
    assert [u.text for u in store.utterances(stay="b" * 32)] == ["hello"]


def test_two_that_write_the_same_revision_of_a_draft_do_not_overwrite(store: ClinicalStore) -> None:
    store.put_draft(Draft(stay=STAY.id, revision=1))
    with pytest.raises(BadUse, match="changed meanwhile"):
        store.put_draft(Draft(stay=STAY.id, revision=1, title="Other"))
    store.put_draft(Draft(stay=STAY.id, revision=2))
    latest = store.draft(STAY.id)
    assert latest is not None
    assert latest.revision == 2


def test_each_change_is_taken_once_and_listeners_are_told(store: ClinicalStore) -> None:
    told = threading.Event()
    end = store.listen(told.set)
    cursor = Changes(store)
    card = PromptCard(id="p", stay=STAY.id, gap="g", text="t", minute=3, fired_ns=1)
    store.put_prompt(card)
    assert told.is_set()
    assert [(c.what, c.ref) for c in cursor.take()] == [("prompt", "p")]
    assert cursor.take() == []
    end()


def test_a_change_that_commits_late_is_still_taken(store: ClinicalStore) -> None:
    cursor = Changes(store)
    store.put_stay(STAY)
    with store.transaction() as link:
        link.execute(sa.update(tables.changes).values(n=5))
    assert [c.n for c in cursor.take()] == [5]
    with store.transaction() as link:
        link.execute(
            sa.insert(tables.changes).values(n=4, stay=STAY.id, what="stay", ref="late", at_ns=1)
        )
    assert [c.n for c in cursor.take()] == [4]


@pytest.mark.parametrize("harm", ["alter", "remove"])
def test_an_altered_audit_log_is_found(store: ClinicalStore, harm: str) -> None:
    for number in range(5):
        audit.record(store, "dr", "sign", STAY.id, f"letter {number}")
    assert len(list(audit.entries(store))) == 5
    with store.transaction() as link:
        row = tables.audit.c.n == 3
        if harm == "alter":
            link.execute(sa.update(tables.audit).where(row).values(actor="other"))
        else:
            link.execute(sa.delete(tables.audit).where(row))
    with pytest.raises(IntegrityError):
        list(audit.entries(store))


def test_many_writers_make_one_audit_chain(store: ClinicalStore) -> None:
    def write() -> None:
        for _ in range(10):
            audit.record(store, "relay", "note")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(audit.entries(store))) == 40


def test_a_prompt_is_made_once_and_changed_only_from_the_state_it_is_in(
    store: ClinicalStore,
) -> None:
    card = PromptCard(id="p", stay=STAY.id, gap="g", text="t", minute=3, fired_ns=1)
    assert store.add_prompt(card)
    assert not store.add_prompt(card)
    shown = msgspec.structs.replace(card, state="shown", shown_ns=2)
    assert store.change_prompt(shown, "waiting")
    assert not store.change_prompt(msgspec.structs.replace(card, state="withdrawn"), "waiting")
    assert store.prompts(STAY.id) == [shown]


def test_only_what_came_since_is_read(store: ClinicalStore) -> None:
    first = msgspec.structs.replace(EVENT, stay=STAY.id)
    store.add_events([first])
    found, n = store.events_after(STAY.id, 0)
    assert found == [first]
    store.add_events([msgspec.structs.replace(first, version=2)])
    assert [event.version for event in store.events_after(STAY.id, n)[0]] == [2]
