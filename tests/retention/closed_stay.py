"""A closed stay whose note is in the chart: what a policy acts on."""

import msgspec
import sqlalchemy as sa

from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.drafts import Draft, Dropped, Section, Sentence
from bayscribe_relay.writeback import tables as letter_tables
from custody.hospital import STAY, T0, Hospital, sha

KEY = "01920000-0000-7000-8000-000000000001"
SAID = "canarywords were spoken here"


def close_stay(hospital: Hospital) -> None:
    """A closed stay with three segments, two turns, a prompt and a draft that quotes."""
    hospital.record(segments=3)
    made = hospital.admit()
    hospital.clinical.put_stay(msgspec.structs.replace(made, state="closed", closed_ns=T0))
    hospital.say(0, SAID)
    hospital.say(1, "and canaryanswers came", primary=False)
    card = hospital.prompt()
    hospital.clinical.put_prompt(msgspec.structs.replace(card, explanation=(f"heard: {SAID}",)))
    quoted = Sentence(id="s1", text=SAID, origin="said")
    draft = Draft(
        stay=STAY,
        revision=1,
        sections=(Section(loinc="10164-2", title="History", sentences=(quoted,)),),
        dropped=(Dropped(text=SAID, reason="it has no source"),),
    )
    with hospital.clinical.transaction() as link:
        row = {"stay": STAY, "revision": 1, "body": msgspec.json.encode(draft)}
        link.execute(sa.insert(tables.drafts).values(row))


def post_letter(hospital: Hospital, state: str = "verified", settled_ns: int | None = T0) -> None:
    """A note of the stay's visit in the outbox."""
    note = {"encounter": {"visit_number": "V-1001"}, "audio": {"chain_sha256": "00" * 32}}
    body = msgspec.json.encode(note)
    with hospital.clinical.transaction() as link:
        link.execute(
            sa.insert(letter_tables.signed_notes).values(
                key=KEY, site="demo", note=body, note_sha256=sha("n"), signed_at="", received_ns=T0
            )
        )
        link.execute(
            sa.insert(letter_tables.letters).values(
                key=KEY, site="demo", bundle=b"{}", bundle_sha256=sha("b"), note_sha256=sha("n"),
                state=state, replay=False, attempts=1, lease_until_ns=0, queued_ns=T0,
                received_ns=T0, settled_ns=settled_ns, reason="",
            )
        )  # fmt: skip
