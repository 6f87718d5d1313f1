from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.pki.authority import Authority
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.erase import Retention
from bayscribe_relay.retention.policy import DAY_NS
from bayscribe_relay.store import schema
from bayscribe_relay.streams.report import device_report
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_verify.package import verify
from custody.hospital import RECORDING, STAY, T0, Hospital
from retention.closed_stay import SAID, close_stay, post_letter


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stay(hospital: Hospital) -> None:
    close_stay(hospital)


def retention(hospital: Hospital, **config: float) -> Retention:
    return Retention(hospital.clinical, hospital.signer, RetentionConfig(**config))


def payloads(hospital: Hospital) -> int:
    with hospital.clinical.engine.connect() as link:
        return link.execute(sa.select(sa.func.count()).select_from(schema.payloads)).scalar_one()


def on_disk(hospital: Hospital) -> bytes:
    """Everything that the database's files hold."""
    return b"".join(path.read_bytes() for path in sorted(hospital.folder.glob("relay.db*")))


def spoken(hospital: Hospital) -> list[str]:
    return [one.text for one in hospital.clinical.utterances(stay=STAY)]


@pytest.mark.usefixtures("stay")
def test_after_its_days_audio_and_words_are_gone_from_the_disk_and_proven(
    hospital: Hospital,
) -> None:
    post_letter(hospital)
    with hospital.clinical.engine.connect() as link:
        sealed = [bytes(s) for s in link.execute(sa.select(schema.payloads.c.sealed)).scalars()]
    pieces = [one[200:240] for one in sealed if len(one) > 240]
    assert len(pieces) == 3
    before = on_disk(hospital)
    assert all(piece in before for piece in pieces)
    assert b"canarywords" in before
    early = retention(hospital).run(T0 + 29 * DAY_NS)
    assert (early.recordings, early.transcripts, payloads(hospital)) == (0, 0, 3)

    done = retention(hospital).run(T0 + 31 * DAY_NS)
    assert (done.recordings, done.segments) == (1, 3)
    assert (done.transcripts, done.utterances, done.kept_in_log) == (1, 2, False)

    after = on_disk(hospital)
    assert not any(piece in after for piece in pieces)
    assert b"canarywords" not in after
    assert b"canaryanswers" not in after
    assert spoken(hospital) == ["", ""]


@pytest.mark.usefixtures("stay")
def test_the_streams_and_the_package_verify_afterwards_with_the_proofs(hospital: Hospital) -> None:
    done = retention(hospital, unsigned_days=100).run(T0 + 10_000 * DAY_NS)
    assert (done.segments, done.utterances) == (3, 2)
    name, package = hospital.custody.package(STAY)
    report = verify(package, [hospital.authority.certificate])
    assert (name, report.problems) == (STAY, [])
    assert report.counts["deletions"] == 2
    mark = hospital.store.mark(hospital.device)
    assert mark is not None
    assert device_report(hospital.store, mark, [hospital.opening]).verified
    entries = [one for one in audit.entries(hospital.clinical) if one.actor == "retention"]
    assert [one.detail.split(":")[0] for one in entries] == [
        "3 segments, 0 utterances", "0 segments, 2 utterances",
    ]  # fmt: skip


@pytest.mark.usefixtures("stay")
def test_audio_that_is_gone_without_a_trusted_proof_is_found(hospital: Hospital) -> None:
    post_letter(hospital)
    stranger = Authority.create("elsewhere").custody("relay-9")
    assert stranger.key is not None
    forged = Retention(
        hospital.clinical, Signer(stranger.certificate, stranger.key), RetentionConfig()
    )
    forged.run(T0 + 31 * DAY_NS)
    with hospital.clinical.transaction() as link:
        link.execute(sa.delete(letter_tables.letters))
        link.execute(sa.delete(letter_tables.signed_notes))
    package = hospital.custody.package(STAY)[1]
    problems = verify(package, [hospital.authority.certificate]).problems
    assert any("no trusted relay signed it" in one for one in problems)
    assert any("gone without a proof" in one for one in problems)


@pytest.mark.parametrize("state", ["queued", "sent", "dead"])
@pytest.mark.usefixtures("stay")
def test_a_note_that_is_not_in_the_chart_keeps_everything(hospital: Hospital, state: str) -> None:
    post_letter(hospital, state, settled_ns=None)
    done = retention(hospital, unsigned_days=1).run(T0 + 9_000 * DAY_NS)
    assert (done.segments, done.utterances, payloads(hospital)) == (0, 0, 3)


@pytest.mark.usefixtures("stay")
def test_a_hold_keeps_everything_until_it_is_released(hospital: Hospital) -> None:
    post_letter(hospital)
    policy = retention(hospital)
    policy.hold(STAY, "os:counsel", "claim 17")
    assert [one[0] for one in policy.held()] == [STAY]
    assert policy.run(T0 + 99 * DAY_NS).segments == 0
    policy.release(STAY, "os:counsel")
    assert policy.run(T0 + 99 * DAY_NS).segments == 3
    with pytest.raises(BadUse, match="not on hold"):
        policy.release(STAY, "os:counsel")
    with pytest.raises(BadUse, match="no stay"):
        policy.hold("9" * 32, "os:counsel", "claim 18")


@pytest.mark.usefixtures("stay")
def test_an_open_stay_keeps_everything(hospital: Hospital) -> None:
    found = hospital.clinical.stay(STAY)
    assert found is not None
    hospital.clinical.put_stay(msgspec.structs.replace(found, state="open"))
    post_letter(hospital)
    assert retention(hospital).run(T0 + 99 * DAY_NS).segments == 0


@pytest.mark.usefixtures("stay")
def test_a_recording_of_two_stays_goes_when_both_let_it_go(hospital: Hospital) -> None:
    post_letter(hospital)
    second = hospital.admit("6" * 32, visit="V-2002")
    policy = retention(hospital, unsigned_days=0)
    assert policy.run(T0 + 99 * DAY_NS).segments == 0
    hospital.clinical.put_stay(msgspec.structs.replace(second, state="closed", closed_ns=T0))
    done = retention(hospital, unsigned_days=60).run(T0 + 10_000 * DAY_NS)
    assert done.segments == 3
    for name in (STAY, "6" * 32):
        proofs = retention(hospital).deletions()
        assert proofs[name] >= 1


def test_a_recording_of_no_stay_goes_after_its_own_days(hospital: Hospital) -> None:
    hospital.record(segments=2)
    far = T0 + 10_000 * DAY_NS
    assert retention(hospital, unclaimed_days=0).run(far).segments == 0
    assert retention(hospital).run(far).segments == 2
    package = hospital.custody.package(RECORDING)[1]
    report = verify(package, [hospital.authority.certificate])
    assert (report.problems, report.counts["deletions"]) == ([], 1)


@pytest.mark.usefixtures("stay")
def test_a_dry_run_and_a_second_run_change_nothing(hospital: Hospital) -> None:
    post_letter(hospital)
    policy, later = retention(hospital), T0 + 31 * DAY_NS
    dry = policy.run(later, dry=True)
    assert (dry.segments, dry.utterances) == (3, 2)
    assert (payloads(hospital), spoken(hospital)[0]) == (3, SAID)
    policy.run(later)
    again = policy.run(later)
    assert (again.recordings, again.transcripts) == (0, 0)
    assert policy.deletions() == {STAY: 2}


@pytest.mark.usefixtures("stay")
def test_a_crash_before_the_proof_deletes_nothing(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    post_letter(hospital)

    def crash(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(Signer, "sign", crash)
    with pytest.raises(KeyboardInterrupt):
        retention(hospital).run(T0 + 31 * DAY_NS)
    assert (payloads(hospital), retention(hospital).deletions()) == (3, {})
