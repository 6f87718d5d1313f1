"""What of a model stands in the signature, on the page, and in neither."""

import html
import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from bayscribe_relay.attest.signing import Signing
from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.drafts import Draft, Dropped, Link, ModelUse
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.notes import kinds
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.model.answer import Proposed
from bayscribe_relay.notes.model.joining import Answered
from bayscribe_relay.notes.service import recompose
from bayscribe_relay.retention import words
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_relay.writeback.note import Note, read_note
from custody.hospital import CLINICIAN, STAY, Hospital
from web import demo_stay
from web.web_client import STAY as STAY_PAGE
from web.web_client import Browser, tell
from web.web_rig import Rig

INVENTED = "The patient has a zebra."


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    made.record(segments=3, close=False)
    made.admit()
    made.say(0, "I am concerned for sepsis")
    made.say(1, "it hurts when I breathe", primary=False)
    made.chart("vital.hr", 112, "/min")
    yield made
    made.close()


def answer(store: ClinicalStore, *proposed: tuple[str, str]) -> Draft:
    """Take an answer in whose sentences name what they rest on by its beginning."""
    known = {
        u.text.split()[0]: Link(kind="utterance", ref=u.id) for u in store.utterances(stay=STAY)
    }
    known |= {e.concept: Link(kind="event", ref=e.id) for e in store.events(STAY)}
    rows = [Proposed(kinds.COURSE, text, (source,)) for text, source in proposed]
    use = ModelUse(
        name="clinical-notes", versions=("clinical-notes-2 fp_7",),
        sources=tuple(k.ref for k in known.values()),
    )  # fmt: skip
    draft = recompose(store, STAY, NotesConfig(), UTC, Answered(use, rows, known))
    assert draft is not None
    return draft


def sign(hospital: Hospital) -> Note:
    signing = Signing(hospital.clinical)
    shown = signing.preview(STAY, CLINICIAN)
    signing.sign_now(STAY, CLINICIAN, shown.revision, shown.sha256)
    with hospital.clinical.engine.connect() as link:
        return read_note(link.execute(sa.select(letter_tables.signed_notes.c.note)).scalar_one())


def test_the_attestation_names_the_model_and_nothing_dropped_is_in_it(hospital: Hospital) -> None:
    draft = answer(
        hospital.clinical, ("Heart rate 112 /min, recorded.", "vital.hr"), (INVENTED, "it")
    )
    assert [d.text for d in draft.dropped] == [INVENTED]
    (mine,) = (s for p in draft.sections for s in p.sentences if s.origin == "model")
    note = sign(hospital)
    assert "Heart rate 112 /min, recorded." in note.note.content
    assert mine.id in {e.id for e in note.attestation.elements}
    assert ("language model clinical-notes", "clinical-notes-2 fp_7") in {
        (m.name, m.version) for m in note.models
    }
    with hospital.clinical.engine.connect() as link:
        sent = "".join(
            repr(link.execute(sa.select(table)).all())
            for table in letter_tables.metadata.sorted_tables
        )
    assert "zebra" not in msgspec.json.encode(note).decode() + sent


@pytest.mark.parametrize("proposed", [[], [(INVENTED, "it")]])
def test_a_model_that_gave_nothing_to_the_note_is_not_named(
    hospital: Hospital, proposed: list[tuple[str, str]]
) -> None:
    answer(hospital.clinical, *proposed)
    assert not any("language model" in m.name for m in sign(hospital).models)


def test_what_was_dropped_goes_with_the_words(hospital: Hospital) -> None:
    answer(hospital.clinical, (INVENTED, "it"))
    sign(hospital)
    with hospital.clinical.transaction() as link:
        words.erase(link, words.find(link, STAY, ""))
    with hospital.clinical.engine.connect() as link:
        bodies = link.execute(sa.select(tables.drafts.c.body)).scalars().all()
    assert bodies
    assert all(b"zebra" not in body for body in bodies)


def put(rig: Rig, **changes: object) -> None:
    draft = rig.clinical.draft(demo_stay.STAY)
    assert draft is not None
    changed = msgspec.to_builtins(replace(draft, revision=draft.revision + 1)) | changes
    rig.clinical.put_draft(msgspec.convert(json.loads(msgspec.json.encode(changed)), Draft))


def test_the_page_says_what_the_model_did_and_what_was_dropped(tmp_path: Path) -> None:
    async def story(browser: Browser, rig: Rig) -> None:
        await browser.sign_in()
        put(rig, dropped=[], model=None)
        text = await browser.get(STAY_PAGE)
        assert "anguage model" not in text
        gone = ModelUse(name="clinical-notes", failure="it has too many requests (HTTP 429)")
        put(rig, dropped=[], model=gone)
        text = await browser.get(STAY_PAGE)
        assert "clinical-notes was not used: it has too many requests (HTTP 429)." in text
        script = Dropped(text="<script>alert(1)</script> zebra", reason="it has no source")
        use = ModelUse(name="clinical-notes", versions=("v1", "v2"))
        put(rig, dropped=[script, Dropped(text="", reason="it has no text")], model=use)
        text = await browser.get(STAY_PAGE)
        assert "clinical-notes (v2)" in text
        assert "2 sentences of the model were dropped" in text
        assert f"<del>{html.escape(script.text)}</del>" in text
        assert "Dropped: it has no source" in text
        assert "<script>alert" not in text
        assert "zebra" not in await browser.get(f"{STAY_PAGE}/sign")

    tell(tmp_path, story)
