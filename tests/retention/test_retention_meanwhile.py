"""What comes between the look at what is due and the deletion."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from benchmarks.writeback import postgres

from bayscribe_relay.clinical.stays import Binding
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.retention import erase
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.erase import Done, Retention
from bayscribe_relay.retention.policy import DAY_NS
from custody.hospital import PATIENT, RECORDING, STAY, T0, Hospital
from retention.closed_stay import close_stay, post_letter

LATER = T0 + 31 * DAY_NS
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    url = ""
    if request.param == "postgresql":
        url = postgres.fresh_database(request.getfixturevalue("server"))
    made = Hospital(tmp_path, url=url)
    close_stay(made)
    post_letter(made)
    yield made
    made.close()


def just_before_the_lock(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], None]) -> None:
    """Do it once, when a deletion has looked and is about to lock."""
    real, left = erase.alone, [deed]

    def alone(link: sa.Connection) -> None:
        if left:
            left.pop()()
        real(link)

    monkeypatch.setattr(erase, "alone", alone)


def of(hospital: Hospital, store: ClinicalStore) -> Retention:
    return Retention(store, hospital.signer, RetentionConfig())


def test_a_hold_that_came_meanwhile_keeps_everything(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ClinicalStore(hospital.url)
    held = of(hospital, other)
    just_before_the_lock(monkeypatch, lambda: held.hold(STAY, "os:counsel", "claim 17"))
    policy = of(hospital, hospital.clinical)
    done = policy.run(LATER)
    other.close()
    assert (done.segments, done.utterances) == (0, 0)
    assert policy.deletions() == {}


def test_a_recording_given_to_an_open_stay_meanwhile_is_kept(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ClinicalStore(hospital.url)
    opened = hospital.clinical.stay(STAY)
    assert opened is not None

    def corrected() -> None:
        other.put_stay(
            type(opened)(
                id="6" * 32, site="demo", patient=PATIENT, visit_number="V-2", fhir_id="e2",
                bay="bay-1", clinician=opened.clinician, arrived_ns=T0, reason="A01",
            )
        )  # fmt: skip
        other.bind(Binding(stay="6" * 32, device="bay-1", recording=RECORDING, from_ns=T0))

    just_before_the_lock(monkeypatch, corrected)
    done = of(hospital, hospital.clinical).run(LATER)
    other.close()
    assert done.segments == 0


def test_two_relays_at_the_same_time_delete_and_prove_once(hospital: Hospital) -> None:
    stores = [ClinicalStore(hospital.url) for _ in range(2)]
    start, done = threading.Barrier(2, timeout=LIMIT_S), list[Done]()

    def run(store: ClinicalStore) -> None:
        mine = of(hospital, store)
        start.wait()
        done.append(mine.run(LATER))

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LIMIT_S)
    for store in stores:
        store.close()
    assert sum(one.segments for one in done) == 3
    assert sum(one.utterances for one in done) == 2
    assert of(hospital, hospital.clinical).deletions() == {STAY: 2}
