"""What a language model might make of a draft: sentences that are right, and wrong in one thing."""

import random
import re
from collections.abc import Iterator

from bayscribe_relay.clinical.drafts import Draft, Sentence

_FIGURE = re.compile(r"\d{1,2}:\d{2}|\d[\d,]*(?:\.\d+)?")
_TURNS = re.compile(r"\b(?:no|not|never|without|if|maybe|likely|unlikely)\b ?|n't\b", re.IGNORECASE)
_STATUS = (("given", "ordered"), ("ordered", "given"), ("collected", "resulted"))
_SPEAKERS = ("patient", "clinician", "nurse", "visitor")
_INVENTED = ("pneumonia", "morphine", "improved", "diabetic", "unresponsive", "denies")


def honest(draft: Draft) -> list[Sentence]:
    """The draft's own statements as a model's: the quotation marks gone, nothing else."""
    plain = []
    for one in _all(draft):
        if one.origin not in ("said", "charted") or len(one.text) > 900:
            continue
        text = one.text.replace(".”.", ".").replace("“", "").replace("”", "")
        text = text.replace(" (administration record)", "")
        made = Sentence(id=f"model-{one.id}", text=text, origin="model", links=one.links)
        # A question's words may not be stated; sums and criteria are the composer's own.
        if not text.startswith(("Asked ", "SIRS", "Crystalloid by weight")):
            plain.append(made)
    return plain


def altered(sentence: Sentence, draft: Draft, rng: random.Random) -> Iterator[tuple[str, Sentence]]:
    """The sentence with one thing wrong in it, by what that is."""

    def made(kind: str, text: str) -> Iterator[tuple[str, Sentence]]:
        if text != sentence.text:
            yield kind, Sentence(id="x", text=text, origin="model", links=sentence.links)

    text = sentence.text
    for kind, other in (*_numbers(text, rng), *_words(text, rng)):
        yield from made(kind, other)
    strange = [
        s for s in _all(draft) if s.origin == "charted" and not set(s.links) & set(sentence.links)
    ]
    for one in rng.sample(strange, min(2, len(strange))):
        if _FIGURE.search(text):
            yield "another source", Sentence(id="x", text=text, origin="model", links=one.links)


def _numbers(text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    figures = list(_FIGURE.finditer(text))
    for found in figures:
        for kind, other in (
            ("number changed", _changed(found[0], rng)),
            ("number of another fact", rng.choice(figures)[0]),
        ):
            yield kind, text[: found.start()] + other + text[found.end() :]


def _words(text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    for found in _TURNS.finditer(text):
        yield "negation or condition left out", text[: found.start()] + text[found.end() :]
    words = text.split(" ")
    for word in ("no", "not"):
        place = rng.randrange(1, len(words))
        yield "negation added", " ".join([*words[:place], word, *words[place:]])
    for old, new in _STATUS:
        yield "status changed", re.sub(rf"\b{old} (?=\d)", f"{new} ", text)
    for who in _SPEAKERS:
        changed = re.sub(rf"^The (?:{'|'.join(_SPEAKERS)})\b", f"The {who}", text)
        yield "another speaker", changed
    place = rng.randrange(1, len(words))
    yield "invented word", " ".join([*words[:place], rng.choice(_INVENTED), *words[place:]])


def _all(draft: Draft) -> list[Sentence]:
    return [s for part in draft.sections for s in part.sentences]


def _changed(figure: str, rng: random.Random) -> str:
    place = rng.choice([n for n, c in enumerate(figure) if c.isdigit()])
    digit = rng.choice([d for d in "123456789" if d != figure[place]])
    return figure[:place] + digit + figure[place + 1 :]
