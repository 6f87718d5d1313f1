"""A note that was really signed, in a real letter, until its sound and words are gone."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bayscribe_relay.attest.signing import Signing
from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.service import recompose
from bayscribe_relay.retention import tables as retention_tables
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.erase import Retention
from bayscribe_relay.retention.policy import DAY_NS
from bayscribe_verify.package import Report, verify
from custody.hospital import CLINICIAN, RECORDING, STAY, T0, Hospital
from retention.closed_stay import close_stay, post_letter


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.close()


def retention(hospital: Hospital) -> Retention:
    return Retention(hospital.clinical, hospital.signer, RetentionConfig())


def report_of(hospital: Hospital, name: str = STAY) -> Report:
    return verify(hospital.custody.package(name)[1], [hospital.authority.certificate])


def sign(hospital: Hospital) -> str:
    """From the microphone to a letter that waits for the gateway; its key."""
    hospital.record(segments=3)
    made = hospital.admit()
    hospital.say(0, "I am concerned for sepsis")
    hospital.say(1, "it hurts when I breathe", primary=False)
    hospital.chart("vital.hr", 112, "/min")
    recompose(hospital.clinical, STAY, NotesConfig())
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    letter = signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    hospital.clinical.put_stay(msgspec.structs.replace(made, state="closed", closed_ns=T0))
    return letter.key


def test_a_signed_note_verifies_to_the_chart_when_sound_and_words_are_gone(
    hospital: Hospital,
) -> None:
    key = sign(hospital)
    assert retention(hospital).run(time.time_ns() + 999 * DAY_NS).segments == 0
    hospital.verified(key)
    before = report_of(hospital)
    assert (before.problems, before.letters) == ([], {key: "verified"})
    done = retention(hospital).run(time.time_ns() + 31 * DAY_NS)
    assert (done.segments, done.utterances) == (3, 2)
    after = report_of(hospital)
    assert (after.problems, after.letters) == ([], {key: "verified"})
    assert after.counts["deletions"] == 2


def test_a_proof_that_was_taken_away_is_missed(hospital: Hospital) -> None:
    hospital.verified(sign(hospital))
    retention(hospital).run(time.time_ns() + 31 * DAY_NS)
    with hospital.clinical.transaction() as link:
        link.execute(sa.delete(retention_tables.deletions))
    assert sum("gone without a proof" in one for one in report_of(hospital).problems) == 3


def test_words_of_no_stay_are_kept_while_a_stay_of_their_recording_is_on_hold(
    hospital: Hospital,
) -> None:
    close_stay(hospital)
    post_letter(hospital)
    loose = hospital.say(2, "said between two patients", stay="")
    policy = retention(hospital)
    policy.hold(STAY, "os:counsel", "claim 17")
    assert policy.run(T0 + 99 * DAY_NS).utterances == 0
    policy.release(STAY, "os:counsel")
    assert policy.run(T0 + 99 * DAY_NS).utterances == 3
    found = hospital.clinical.utterance(loose.id)
    assert found is not None
    assert found.text == ""


def test_the_package_of_an_unclaimed_recording_has_the_proof_of_its_words(
    hospital: Hospital,
) -> None:
    hospital.record(segments=2)
    hospital.say(0, "nobody claimed this", stay="")
    retention(hospital).run(T0 + 10_000 * DAY_NS)
    report = report_of(hospital, RECORDING)
    assert (report.problems, report.counts["deletions"]) == ([], 2)


def test_words_that_were_written_over_earlier_are_not_left_on_the_disk(tmp_path: Path) -> None:
    """Also where SQLite was built to leave what is freed as it was."""

    @event.listens_for(sa.engine.Engine, "connect", insert=True)
    def careless(connection: object, _record: object) -> None:
        connection.execute("PRAGMA secure_delete=OFF")  # type: ignore[attr-defined] # sqlite3's

    hospital = Hospital(tmp_path)
    try:
        close_stay(hospital)
        post_letter(hospital)
        base = hospital.clinical.utterances(stay=STAY)[0]
        for turn in range(30):
            for said in (4, 40, 0):  # as the recogniser hears more, then revises the turn away
                words = tuple(Word(f"canaryword{n}", 0.0, 0.1, 0.9) for n in range(said))
                one = msgspec.structs.replace(base, id=f"{RECORDING}/{100 + turn}", words=words)
                hospital.clinical.put_utterance(one)
        retention(hospital).run(T0 + 31 * DAY_NS)
        files = sorted(tmp_path.glob("relay.db*"))
        assert not any(b"canaryword" in path.read_bytes() for path in files)
    finally:
        hospital.close()
        event.remove(sa.engine.Engine, "connect", careless)
