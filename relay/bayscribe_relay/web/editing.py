"""What a clinician does to a draft: pure changes, and how they meet a draft that moves on."""

import uuid
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.drafts import Draft, Section, Sentence
from bayscribe_relay.clinical.store import ClinicalStore

SENTENCE_MAX: Final = 4_000
_TRIES: Final = 8

Change = Callable[[Sentence], Sentence]


def accepted(sentence: Sentence) -> Sentence:
    """Taken as it was offered; a modified one goes back to that."""
    if sentence.original:
        return replace(sentence, outcome="accepted", text=sentence.original, original="")
    return replace(sentence, outcome="accepted")


def rejected(sentence: Sentence) -> Sentence:
    """Not to stand in the note."""
    return replace(sentence, outcome="rejected")


def modified(text: str) -> Change:
    """With other words.

    Raises:
        BadUse: there are none, or too many.
    """
    words = " ".join(text.split())
    if not words:
        raise BadUse("the sentence is empty", "reject it instead", code="sentence")
    if len(words) > SENTENCE_MAX:
        raise BadUse("the sentence is too long", "make several of it", code="sentence")

    def change(sentence: Sentence) -> Sentence:
        if words == sentence.text:
            return replace(sentence, outcome="accepted" if not sentence.original else "modified")
        if sentence.origin == "clinician":
            return replace(sentence, text=words, outcome="accepted")
        original = sentence.original or sentence.text
        if words == original:
            return replace(sentence, text=words, original="", outcome="accepted")
        return replace(sentence, text=words, original=original, outcome="modified")

    return change


def change_sentence(
    store: ClinicalStore, stay: str, seen: int, ident: str, change: Change
) -> Draft:
    """Change one sentence of a stay's draft.

    The draft may have been composed again since the page was made: the change holds as long
    as the sentence itself is still what the clinician saw.

    Args:
        store: where drafts stand.
        stay: whose.
        seen: revision that the page showed.
        ident: of the sentence.
        change: what to make of it.

    Raises:
        BadUse: ``revision`` if the sentence has changed or gone, ``signed`` if the note is.
    """
    before = store.draft_at(stay, seen)
    was = None if before is None else _find(before, ident)
    for _ in range(_TRIES):
        draft = _open_draft(store, stay)
        now = _find(draft, ident)
        if now is None or now != was:
            raise BadUse(
                "this sentence has changed meanwhile",
                "look at the new one; yours was not stored",
                code="revision",
            )
        changed = change(now)
        if changed == now:
            return draft
        sections = tuple(
            replace(s, sentences=tuple(changed if x is now else x for x in s.sentences))
            for s in draft.sections
        )
        if (stored := _store(store, draft, sections)) is not None:
            return stored
    raise BadUse("the draft is changing too fast", "try again", code="revision")


def add_sentence(store: ClinicalStore, stay: str, section: str, text: str) -> Draft:
    """Add the clinician's own sentence to a section.

    Args:
        store: where drafts stand.
        stay: whose.
        section: its LOINC code.
        text: the words.

    Raises:
        BadUse: there are no words, no such section, or the note is signed.
    """
    blank = Sentence(id=f"own-{uuid.uuid4().hex[:12]}", text="", origin="clinician")
    sentence = modified(text)(blank)
    for _ in range(_TRIES):
        draft = _open_draft(store, stay)
        if all(s.loinc != section for s in draft.sections):
            raise BadUse("there is no such section", "choose one of the draft's", code="section")
        sections = tuple(
            replace(s, sentences=(*s.sentences, sentence)) if s.loinc == section else s
            for s in draft.sections
        )
        if (stored := _store(store, draft, sections)) is not None:
            return stored
    raise BadUse("the draft is changing too fast", "try again", code="revision")


def undecided(draft: Draft) -> list[Sentence]:
    """Suggestions that nobody has accepted, modified or rejected."""
    return [
        sentence
        for section in draft.sections
        for sentence in section.sentences
        if sentence.origin == "suggestion" and sentence.outcome == "open"
    ]


def _open_draft(store: ClinicalStore, stay: str) -> Draft:
    draft = store.draft(stay)
    if draft is None:
        raise BadUse("there is no draft yet", "wait for it", code="no-draft")
    if draft.signed_key:
        raise BadUse("this note is signed", "write an addendum in the chart", code="signed")
    return draft


def _store(store: ClinicalStore, draft: Draft, sections: tuple[Section, ...]) -> Draft | None:
    changed = replace(draft, sections=sections, revision=draft.revision + 1)
    try:
        store.put_draft(changed)
    except BadUse as error:
        if error.code != "revision":
            raise
        return None
    return changed


def _find(draft: Draft, ident: str) -> Sentence | None:
    for section in draft.sections:
        for sentence in section.sentences:
            if sentence.id == ident:
                return sentence
    return None
