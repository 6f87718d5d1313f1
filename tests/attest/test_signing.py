import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.attest.signing import Signing
from bayscribe_relay.clinical.audit import entries
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.stays import Patient
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.service import recompose
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_relay.writeback.note import read_note
from bayscribe_verify.package import verify
from custody.hospital import CLINICIAN, PATIENT, STAY, Hospital


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    made.record(segments=3, close=False)
    made.admit()
    made.say(0, "I am concerned for sepsis")
    made.say(1, "it hurts when I breathe", primary=False)
    made.chart("vital.hr", 112, "/min")
    made.prompt()
    recompose(made.clinical, STAY, NotesConfig())
    yield made
    made.close()


def draft_of(hospital: Hospital) -> Draft:
    draft = hospital.clinical.draft(STAY)
    assert draft is not None
    return draft


def decide(hospital: Hospital, index: int, outcome: str) -> None:
    """The clinician decides on the first sentence of a section."""
    draft = draft_of(hospital)
    section = draft.sections[index]
    changed = msgspec.convert(
        msgspec.to_builtins(section.sentences[0]) | {"outcome": outcome},
        type(section.sentences[0]),
    )
    sections = list(draft.sections)
    sections[index] = replace(section, sentences=(changed, *section.sentences[1:]))
    hospital.clinical.put_draft(
        replace(draft, revision=draft.revision + 1, sections=tuple(sections))
    )


def letters(hospital: Hospital) -> int:
    with hospital.clinical.engine.connect() as link:
        query = sa.select(sa.func.count()).select_from(letter_tables.letters)
        return int(link.execute(query).scalar_one())


def test_what_was_previewed_is_signed_sent_and_verifies_from_microphone_to_chart(
    hospital: Hospital,
) -> None:
    decide(hospital, 0, "rejected")
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    assert "hurts" not in shown.text
    assert "112 /min" in shown.text
    letter = signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    with hospital.clinical.engine.connect() as link:
        note = read_note(link.execute(sa.select(letter_tables.signed_notes.c.note)).scalar_one())
    assert note.note.content == shown.text
    assert note.attestation.note_sha256 == shown.sha256
    assert {e.outcome for e in note.attestation.elements} == {"accepted", "rejected"}
    assert [p.outcome for p in note.prompts] == ["answered"]
    assert {m.name for m in note.models} == {"speech recogniser", "appliance networks"}
    assert draft_of(hospital).signed_key == letter.key
    assert [e.action for e in entries(hospital.clinical, STAY)][-1] == "signed-note"
    hospital.go_on(2, after=3)
    hospital.end()
    hospital.verified(letter.key)
    report = verify(hospital.custody.package(STAY)[1], [hospital.authority.certificate])
    assert report.problems == []
    assert report.letters == {letter.key: "verified"}


def test_nothing_but_what_was_shown_can_be_signed(hospital: Hospital) -> None:
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    stay = hospital.clinical.stay(STAY)
    assert stay is not None

    def refused(code: str, revision: int = shown.revision) -> None:
        with pytest.raises(BadUse) as error:
            signing.sign_now(STAY, CLINICIAN, revision, shown.sha256)
        assert error.value.code == code
        assert letters(hospital) == 0

    refused("revision", shown.revision + 1)
    other = Patient(mrn="M2", id="p2", family="Roe", given="Ann", birth_date="1990-01-01")
    hospital.clinical.put_stay(replace(stay, patient=other))
    refused("revision")
    hospital.clinical.put_stay(replace(stay, patient=PATIENT))
    spoken = hospital.clinical.utterances(stay=STAY)[0]
    hospital.clinical.put_utterance(replace(spoken, speaker="nurse"))
    refused("revision")
    hospital.clinical.put_utterance(replace(spoken, withdrawn=True))
    refused("evidence")


def test_an_addendum_is_signed_exactly_as_it_was_previewed(hospital: Hospital) -> None:
    signing = Signing(hospital.clinical)
    with pytest.raises(BadUse) as early:
        signing.preview_addendum(STAY, CLINICIAN, "Too early.")
    assert early.value.code == "unsigned"
    note = signing.preview(STAY, CLINICIAN)
    first = signing.sign_now(STAY, CLINICIAN, note.revision, note.sha256)
    to = signing.signed_note(STAY)
    assert (to.key, to.npi) == (first.key, CLINICIAN.npi)
    assert to.author == f"{CLINICIAN.given} {CLINICIAN.family}"
    shown = signing.preview_addendum(STAY, CLINICIAN, " The cough began\non Monday. ", 1)
    assert f"Author: {to.author}, NPI {to.npi}" in shown.text
    assert f"Relates to the note with the key {first.key}." in shown.text
    assert letters(hospital) == 1
    for words, number in (("The cough began on Sunday.", 1), ("The cough began\non Monday.", 2)):
        with pytest.raises(BadUse) as caught:
            signing.addendum_now(STAY, CLINICIAN, words, number, shown.sha256)
        assert caught.value.code == "revision"
    with pytest.raises(BadUse) as empty:
        signing.preview_addendum(STAY, CLINICIAN, " \n")
    assert empty.value.code == "addendum"
    second = signing.addendum_now(STAY, CLINICIAN, "The cough began\non Monday.", 1, shown.sha256)
    with hospital.clinical.engine.connect() as link:
        n = letter_tables.signed_notes.c
        raw = link.execute(sa.select(n.note).where(n.key == second.key)).scalar_one()
    assert read_note(raw).note.content == shown.content
    (kept,) = signing.addenda(STAY)
    assert kept.note_sha256 == shown.sha256
    assert to.signed_ns <= kept.signed_ns


@pytest.mark.parametrize("change", ["record", "chart", "visit", "encounter", "state"])
def test_an_addendum_never_goes_into_another_chart_than_its_note(
    hospital: Hospital, change: str
) -> None:
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    stay = hospital.clinical.stay(STAY)
    assert stay is not None
    moved = {
        "record": replace(stay, patient=replace(PATIENT, mrn="M2")),
        "chart": replace(stay, patient=replace(PATIENT, id="p2")),
        "visit": replace(stay, visit_number="V2"),
        "encounter": replace(stay, fhir_id="e2"),
        "state": replace(stay, state="cancelled"),
    }
    hospital.clinical.put_stay(moved[change])
    with pytest.raises(BadUse) as caught:
        signing.addendum_now(STAY, CLINICIAN, "The cough began on Monday.")
    assert caught.value.code == ("stay" if change == "state" else "identity")
    with pytest.raises(BadUse) as caught:
        signing.preview_addendum(STAY, CLINICIAN, "The cough began on Monday.")
    assert caught.value.code == ("stay" if change == "state" else "identity")
    assert letters(hospital) == 1
    hospital.clinical.put_stay(replace(stay, patient=replace(PATIENT, family="Roe-Smith")))
    assert signing.addendum_now(STAY, CLINICIAN, "The cough began on Monday.").key


def test_a_note_is_signed_once_and_then_has_addenda(hospital: Hospital) -> None:
    signing = Signing(hospital.clinical)
    with pytest.raises(BadUse, match="not signed"):
        signing.addendum_now(STAY, CLINICIAN, "too early")
    shown = signing.preview(STAY, CLINICIAN)
    first = signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    with pytest.raises(BadUse, match="is signed"):
        signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    assert signing.addenda(STAY) == []
    second = signing.addendum_now(STAY, CLINICIAN, "The cough began on Monday.", 1)
    with pytest.raises(BadUse, match="meanwhile"):
        signing.addendum_now(STAY, CLINICIAN, "The cough began on Monday.", 1)
    (added,) = signing.addenda(STAY)
    assert (added.key, added.n, added.relates_to) == (second.key, 1, first.key)
    assert second.key != first.key
    assert letters(hospital) == 2
    with hospital.clinical.engine.connect() as link:
        n = letter_tables.signed_notes.c
        raw = link.execute(sa.select(n.note).where(n.key == second.key)).scalar_one()
    assert f"Relates to the note with the key {first.key}." in read_note(raw).note.content
    assert read_note(raw).relates_to == first.key
    report = verify(hospital.custody.package(STAY)[1], [hospital.authority.certificate])
    assert report.problems == []


def test_an_open_suggestion_must_be_decided(hospital: Hospital) -> None:
    event = hospital.chart("lab.inr", 1.9, "", minute=4)
    recompose(hospital.clinical, STAY, NotesConfig())
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    assert "R65.20" not in shown.text
    with pytest.raises(BadUse, match="1 suggestions are not decided"):
        signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    assert event.id


def test_a_wrong_npi_and_a_stay_without_audio_are_refused_without_a_name(
    hospital: Hospital, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signing = Signing(hospital.clinical)
    with pytest.raises(BadUse) as npi:
        signing.preview(STAY, replace(CLINICIAN, npi="1234567890"))
    hospital.clinical.replace_bindings("e" * 32, [])
    with pytest.raises(BadUse) as audio:
        signing.preview(STAY, CLINICIAN)
    assert (npi.value.code, audio.value.code) == ("npi", "no-audio")
    said = caplog.text + npi.value.line() + audio.value.line()
    assert "Canary" not in said
    assert "CANARY" not in said


def test_a_stay_without_a_chart_is_signed_for_an_hl7_site_alone(hospital: Hospital) -> None:
    stay = hospital.clinical.stay(STAY)
    assert stay is not None
    hospital.clinical.put_stay(replace(stay, patient=replace(PATIENT, id=""), fhir_id=""))
    with pytest.raises(BadUse) as refused:
        Signing(hospital.clinical).preview(STAY, CLINICIAN)
    assert refused.value.code == "identity"
    assert "Canary" not in refused.value.line()
    signing = Signing(hospital.clinical, hl7_only={"demo"})
    shown = signing.preview(STAY, CLINICIAN)
    letter = signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    with hospital.clinical.engine.connect() as link:
        note = read_note(link.execute(sa.select(letter_tables.signed_notes.c.note)).scalar_one())
    assert (note.patient.id, note.encounter.id) == (None, None)
    assert (note.patient.mrn, note.encounter.visit_number) == ("MRN-CANARY-77", "V-1001")
    hospital.go_on(2, after=3)
    hospital.end()
    hospital.verified(letter.key)
    report = verify(hospital.custody.package(STAY)[1], [hospital.authority.certificate])
    assert report.problems == []
