"""Labelled utterances and what the tracer's hearing makes of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bayscribe_relay.tracer.speech import understand

Labels = list[dict[str, Any]]


def _read(name: str) -> Labels:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    found: Labels = yaml.safe_load(text)["utterances"]
    return found


LABELLED = _read("utterances.yaml")
HELD_OUT = _read("utterances-held-out.yaml")


@dataclass
class Judged:
    """Counts over affirmed concepts, and over those that are negated, past, asked ..."""

    right: int = 0
    extra: int = 0
    missed: int = 0
    turned: int = 0
    turned_right: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.extra)

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed)


def judge(labels: Labels) -> Judged:
    """Compare what is heard with the labels."""
    result = Judged()
    for utterance in labels:
        heard: dict[str, set[str]] = {}
        for found in understand([(utterance["say"], 1.0)]):
            heard.setdefault(found.concept, set()).add(found.polarity)
        affirmed = {concept for concept, polarities in heard.items() if "affirmed" in polarities}
        wanted = {label for label in utterance["means"] if ":" not in label}
        turned = [label.split(":") for label in utterance["means"] if ":" in label]
        extra = affirmed - wanted - set(utterance.get("may", []))
        right = sum(polarity in heard.get(concept, ()) for concept, polarity in turned)
        result.right += len(wanted & affirmed)
        result.extra += len(extra)
        result.missed += len(wanted - affirmed)
        result.turned += len(turned)
        result.turned_right += right
        if extra or wanted - affirmed or right < len(turned):
            result.wrong.append(f"{utterance['say']} extra {extra} missed {wanted - affirmed}")
    return result
