"""What a note rests on: recordings, sources of its sentences, models, prompts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import sqlalchemy as sa

from bayscribe.errors import BadUse
from bayscribe.wire.header import SegmentHeader, decode_header
from bayscribe_relay.attest.rendering import moment
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.notes.facts import current
from bayscribe_relay.store import schema
from bayscribe_relay.writeback import note
from bayscribe_verify.rows import Heard, audio_sha256, chain_sha256, within

_R = schema.records.c


@dataclass(frozen=True, slots=True)
class Audio:
    """The encounter's recordings as they stand now.

    Attributes:
        heard: each recording, and how far.
        devices: that recorded.
        sha256: over the audio hashes of all segments that belong.
        chain_sha256: chain value, or a hash over several.
        networks: digest and software version of what listened on the appliances.
    """

    heard: tuple[Heard, ...]
    devices: tuple[str, ...]
    sha256: str
    chain_sha256: str
    networks: tuple[tuple[str, str], ...]


def audio(link: sa.Connection, store: ClinicalStore, stay: str) -> Audio:
    """Read the recordings of a stay.

    Raises:
        BadUse: ``no-audio``: none is bound to it.
    """
    parts: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for one in store.bindings(stay=stay, connection=link):
        parts.setdefault((one.device, one.recording), []).append((one.from_ns, one.until_ns))
    heard, hashes, networks = [], [], set()
    for (device, recording), bound in parts.items():
        query = sa.select(_R.seq, _R.chain, _R.header).where(
            _R.device == device, _R.encounter == recording
        )
        rows = link.execute(query.order_by(_R.seq)).all()
        mine = [h for row in rows if (h := _segment(bytes(row.header), bound)) is not None]
        if not mine:
            continue
        hashes += [h.pcm_sha256 for h in mine]
        networks |= {(h.models_sha256.hex(), h.software) for h in mine}
        last = rows[-1]
        heard.append(
            (device, Heard(recording=recording, through_seq=last.seq,
                           chain=bytes(last.chain).hex(), bound=tuple(bound)))
        )  # fmt: skip
    if not heard:
        raise BadUse(
            "no audio belongs to this stay, and a note is made from what was said",
            "write the note in the chart",
            code="no-audio",
        )
    return Audio(
        heard=tuple(one for _, one in heard),
        devices=tuple(sorted({device for device, _ in heard})),
        sha256=audio_sha256(hashes),
        chain_sha256=chain_sha256(bytes.fromhex(one.chain) for _, one in heard),
        networks=tuple(sorted(networks)),
    )


def _segment(raw: bytes, bound: Sequence[tuple[int, int | None]]) -> SegmentHeader | None:
    header = decode_header(raw)
    if not isinstance(header, SegmentHeader):
        return None
    end = header.wall_ns + header.samples * 10**9 // header.sample_rate
    return header if within(header.wall_ns, end, bound) else None


def sources_sha256(draft: Draft, store: ClinicalStore) -> str:
    """Over every utterance and event that a sentence of the note rests on, as it is now.

    Raises:
        BadUse: ``evidence``: a source is no longer there.
    """
    spoken = {u.id: u for u in store.utterances(stay=draft.stay) if not u.withdrawn}
    events = {e.id: e for e in current(store.events(draft.stay))}
    found: dict[str, bytes] = {}
    for section in draft.sections:
        for sentence in section.sentences:
            if sentence.outcome == "rejected":
                continue
            for link in sentence.links:
                source = spoken.get(link.ref) if link.kind == "utterance" else events.get(link.ref)
                if source is None and link.kind != "patient":
                    raise BadUse(
                        "a sentence's source was corrected or withdrawn",
                        "look at the new draft",
                        code="evidence",
                    )
                found[f"{link.kind} {link.ref}"] = msgspec.json.encode(source)
    body = b"".join(name.encode() + b"\0" + found[name] + b"\0" for name in sorted(found))
    return hashlib.sha256(body).hexdigest()


def models(
    store: ClinicalStore, stay: str, heard: Audio, names: Mapping[str, tuple[str, str]]
) -> tuple[note.Model, ...]:
    """Everything that listened: recognisers by digest, and the appliances' networks.

    Args:
        store: the clinical tables.
        stay: whose.
        heard: its recordings.
        names: name and version of recognisers, by digest.
    """
    digests = {u.model_sha256 for u in store.utterances(stay=stay) if u.words} - {""}
    found = [
        note.Model(*names.get(digest, ("speech recogniser", "unnamed")), digest)
        for digest in sorted(digests)
    ]
    found += [note.Model("appliance networks", version, d) for d, version in heard.networks]
    return tuple(found)


def writers(draft: Draft) -> tuple[note.Model, ...]:
    """The language model that sentences were offered by, in each version that answered.

    A served model shows no weights: its digest is that of the name and version that it gave.
    """
    use = draft.model
    wrote = any(s.origin == "model" for part in draft.sections for s in part.sentences)
    if use is None or not wrote:
        return ()
    return tuple(
        note.Model(
            f"language model {use.name}",
            version,
            hashlib.sha256(f"{use.name}\0{version}".encode()).hexdigest(),
        )
        for version in use.versions
    )


def _outcome(card: PromptCard) -> Literal["answered", "dismissed", "unanswered", "withdrawn"]:
    if card.state == "waiting" or card.state == "shown":
        return "unanswered"
    return card.state


def prompts(cards: Iterable[PromptCard]) -> tuple[note.Prompt, ...]:
    """Every prompt that was given, and what became of it."""
    found = []
    for card in cards:
        if card.shown_ns is None and card.state in ("waiting", "withdrawn"):
            continue
        answered = card.state in ("answered", "dismissed") and card.settled_ns is not None
        found.append(
            note.Prompt(
                id=card.id,
                issued_at=moment(card.shown_ns or card.fired_ns),
                text=card.text,
                outcome=_outcome(card),
                answered_at=moment(card.settled_ns) if answered and card.settled_ns else None,
            )
        )
    return tuple(found)
