"""A clinician's question and the yes or no that somebody else gives to it.

The two make one statement for concepts that say how they are asked (``asked`` in
``listening/``): whether somebody smokes is stated by the question with its answer, whoever says
the "no". A question that is not answered, or answered with doubt, states nothing; nor does a
judgement, which no patient can give.
"""

import re
from collections.abc import Sequence
from typing import Final

from bayscribe_relay.tracer.lexicon import Answer, Lexicon
from bayscribe_relay.tracer.spoken_text import tokens

_SENTENCE: Final = re.compile(r"[.;?!] ")
_YES: Final = re.compile(
    r"(?:(?:uh|um|well|oh) ,? ?)*(?:yes|yeah|yep|yup|i (?:do|am|did|have)(?! not))\b"
)
_NO: Final = re.compile(
    r"(?:(?:uh|um|well|oh) ,? ?)*(?:no|nope|nah|never|not (?:any ?more|at all|me)|"
    r"(?:i|she|he) (?:do|am|does|is|did|have|has) not|none)\b"
)
_DOUBT: Final = re.compile(
    r"\b(?:know|sure|idea|remember|maybe|perhaps|think|guess|might|could|possibl[ey]|"
    r"understand|what|sorry|why)\b"
)


def answered(question: str, words: Sequence[tuple[str, bool]], lexicon: Lexicon) -> list[str]:
    """The concepts that an answer states together with the question before it.

    Args:
        question: the clinician's utterance; its last sentence is what is answered.
        words: of the answer, each with whether the recogniser was sure of it.
        lexicon: knows how concepts are asked.
    """
    given = _given(words)
    if given is None:
        return []
    asked = "".join(f"{token.text} " for token in tokens([(question, True)]))
    last = next((part for part in reversed(_SENTENCE.split(asked)) if part.strip()), "")
    return [
        concept.name
        for concept in lexicon.concepts
        if any(q.answer in ("any", given) and q.pattern.search(last) for q in concept.asked)
    ]


def _given(words: Sequence[tuple[str, bool]]) -> Answer | None:
    """``yes`` or ``no``; None if it is neither, both, or not surely heard."""
    read = tokens(words)
    text = "".join(f"{token.text} " for token in read)
    yes, no = _YES.match(text), _NO.match(text)
    found = yes or no
    if found is None or _DOUBT.search(text):
        return None
    if not all(token.sure for token in read[: found.group().count(" ") + 1]):
        return None
    turned = (_NO if yes else _YES).match(text[found.end() :].lstrip(" ,.;"))
    if turned is not None:
        return None
    return "yes" if yes else "no"
