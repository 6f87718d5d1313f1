"""What a computed figure or a named time is computed from.

The network re-computes a thing when something that it reads has changed, and an explanation
lists what was read: one declaration serves both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bayscribe_relay.tracer.record import Record

T = TypeVar("T")

Key = tuple[str, str]
"""("obs", "lab.lactate"), ("said", "sepsis"), ("met", "sirs") or ("patient", "age_years")."""


@dataclass(frozen=True)
class Computed(Generic[T]):
    """A function of the record and what it reads.

    Attributes:
        compute: the function.
        keys: facts, words, criteria and attributes that it reads.
        anchors: named times that it reads.
    """

    compute: Callable[[Record], T]
    keys: tuple[Key, ...] = ()
    anchors: tuple[str, ...] = ()


def facts(kind: str, *concepts: str) -> tuple[Key, ...]:
    """Keys of events of one kind."""
    return tuple((kind, concept) for concept in concepts)


def said(*concepts: str) -> tuple[Key, ...]:
    """Keys of words."""
    return tuple(("said", concept) for concept in concepts)
