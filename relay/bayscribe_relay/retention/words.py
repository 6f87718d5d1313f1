"""Where spoken words stand beside the audio, and taking them out."""

from dataclasses import dataclass, field
from typing import Final

import msgspec
import sqlalchemy as sa

from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_verify import rows

_JSON: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Words:
    """What holds words and is to lose them.

    Attributes:
        spoken: utterances as they stand, with their words.
        prompts: as they shall be: without explanations and typed answers.
        drafts: as they shall be: without sentences, but for the signed revision.
    """

    spoken: tuple[Utterance, ...] = ()
    prompts: tuple[PromptCard, ...] = field(default=())
    drafts: tuple[Draft, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.spoken or self.prompts or self.drafts)

    def hashes(self) -> tuple[tuple[str, str], ...]:
        """Id and SHA-256 of the text of each utterance, for the proof."""
        return tuple((one.id, rows.text_sha256(one.text)) for one in self.spoken)


NONE: Final = Words()


def find(link: sa.Connection, stay: str, recording: str) -> Words:
    """A stay's words; with an empty stay, a recording's that no stay has."""
    u = tables.utterances.c
    query = sa.select(u.body).where(u.stay == stay)
    if not stay:
        query = query.where(u.recording == recording)
    turns = [msgspec.json.decode(body, type=Utterance) for body in link.execute(query).scalars()]
    spoken = tuple(one for one in turns if one.words)
    if not stay:
        return Words(spoken)
    return Words(spoken, _prompts(link, stay), _drafts(link, stay))


def erase(link: sa.Connection, found: Words) -> None:
    """Take them out; ids, times, speakers and outcomes stay."""
    u, p, d = tables.utterances, tables.prompts, tables.drafts
    for one in found.spoken:
        body = _JSON.encode(msgspec.structs.replace(one, words=()))
        link.execute(sa.update(u).where(u.c.id == one.id).values(body=body))
    for card in found.prompts:
        link.execute(sa.update(p).where(p.c.id == card.id).values(body=_JSON.encode(card)))
    for draft in found.drafts:
        mine = (d.c.stay == draft.stay) & (d.c.revision == draft.revision)
        link.execute(sa.update(d).where(mine).values(body=_JSON.encode(draft)))


def _prompts(link: sa.Connection, stay: str) -> tuple[PromptCard, ...]:
    """The words that led to a prompt, and a clinician's own words in answer to it."""
    p, found = tables.prompts.c, []
    for body in link.execute(sa.select(p.body).where(p.stay == stay)).scalars():
        card = msgspec.json.decode(body, type=PromptCard)
        answer = "" if card.answered_by == "click" else card.answer
        bare = msgspec.structs.replace(card, explanation=(), answer=answer)
        if bare != card:
            found.append(bare)
    return tuple(found)


def _drafts(link: sa.Connection, stay: str) -> tuple[Draft, ...]:
    """Every revision but the signed one: that is the note, which stays for good."""
    d, found = tables.drafts.c, []
    for body in link.execute(sa.select(d.body).where(d.stay == stay)).scalars():
        draft = msgspec.json.decode(body, type=Draft)
        sections = draft.sections if draft.signed_key else ()
        bare = msgspec.structs.replace(draft, sections=sections, dropped=())
        if bare != draft:
            found.append(bare)
    return tuple(found)
