"""The conditions of the catalogue as types, and the strict parser that makes them."""

from dataclasses import dataclass
from typing import Any

from bayscribe.errors import ConfigError

POLARITIES = ("any", "affirmed", "negated", "historical", "hypothetical", "family", "question")
CONDITIONS = (
    *("all", "any", "not", "at_least"),
    *("fact", "said", "calc", "patient", "anchor_known"),
)
OPERATORS = ("gt", "ge", "lt", "le", "eq")
KINDS = (
    *("obs", "order", "med_order", "med_given", "proc", "doc"),
    *("collected", "cc", "hx", "img", "rx", "adt"),
)


@dataclass(frozen=True)
class Every:
    """All of the parts hold."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True)
class AtLeast:
    """At least ``n`` of the parts hold."""

    n: int
    parts: tuple["Rule", ...]


@dataclass(frozen=True)
class Negation:
    """The part does not hold."""

    part: "Rule"


@dataclass(frozen=True)
class Fact:
    """The record holds such an event, with such a value if ``op`` is given."""

    kind: str
    concepts: tuple[str, ...]
    op: str | None
    value: Any
    agg: str


@dataclass(frozen=True)
class Said:
    """Somebody in one of the roles said one of the concepts."""

    concepts: tuple[str, ...]
    roles: tuple[str, ...]
    polarity: str


@dataclass(frozen=True)
class Compared:
    """A computed figure (``calc``) or a patient's attribute against a value."""

    source: str
    name: str
    op: str
    value: Any


@dataclass(frozen=True)
class Known:
    """A named time can be computed."""

    anchor: str


Rule = Every | AtLeast | Negation | Fact | Said | Compared | Known


def parse_rule(node: Any, where: str) -> Rule:  # noqa: ANN401 - parsed YAML
    """A condition of the catalogue.

    Raises:
        ConfigError: it is not one; ``where`` names file and gap.
    """
    if not isinstance(node, dict) or len(node) != 1:
        raise ConfigError(f"{where}: a condition is one key, not {node!r}", "correct the file")
    [(key, body)] = node.items()
    if key not in CONDITIONS:
        expected = ", ".join(CONDITIONS)
        raise ConfigError(f"{where}: found {key!r}: expected {expected}", "see docs/tracer.md")
    try:
        if key in ("all", "any"):
            parts = tuple(parse_rule(part, where) for part in body)
            return Every(parts) if key == "all" else AtLeast(1, parts)
        if key == "at_least":
            return AtLeast(int(body["n"]), tuple(parse_rule(part, where) for part in body["of"]))
        if key == "not":
            return Negation(parse_rule(body, where))
        return _leaf(key, body, where)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {key}: found {body!r}: {error!r}", "correct it") from None


def _leaf(key: str, body: Any, where: str) -> Rule:  # noqa: ANN401 - parsed YAML
    if key == "anchor_known":
        return Known(str(body))
    if key == "said":
        if body["polarity"] not in POLARITIES:
            raise ConfigError(
                f"{where}: said: polarity: found {body['polarity']!r}: expected one"
                f" of {', '.join(POLARITIES)}",
                "correct the condition",
            )
        return Said(_names(body["concept"]), tuple(body["by"]), body["polarity"])
    op = body.get("op")
    if op not in OPERATORS and not (key == "fact" and op is None):
        expected = f"one of {', '.join(OPERATORS)}"
        raise ConfigError(f"{where}: {key}: op: found {op!r}: expected {expected}", "correct it")
    if key == "fact":
        if body["kind"] not in KINDS:
            expected = f"one of {', '.join(KINDS)}"
            found = f"found {body['kind']!r}: expected {expected}"
            raise ConfigError(f"{where}: fact: kind: {found}", "correct it")
        if body.get("agg", "any") not in ("any", "latest", "min"):
            found = f"found {body['agg']!r}: expected any, latest or min"
            raise ConfigError(f"{where}: fact: agg: {found}", "correct it")
        concepts = _names(body["concept"])
        return Fact(body["kind"], concepts, op, body.get("value"), body.get("agg", "any"))
    return Compared(key, body["fn" if key == "calc" else "field"], op, body["value"])


def _names(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - parsed YAML
    return tuple(value) if isinstance(value, list) else (str(value),)


def leaves(rule: Rule) -> list[Rule]:
    """The conditions without parts in a condition."""
    match rule:
        case Every(parts) | AtLeast(_, parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case Negation(part):
            return leaves(part)
        case _:
            return [rule]


def in_words(rule: Rule) -> str:
    """A condition as a reader would write it down."""
    match rule:
        case Every(parts):
            return "(" + " and ".join(in_words(part) for part in parts) + ")"
        case AtLeast(1, parts):
            return "(" + " or ".join(in_words(part) for part in parts) + ")"
        case AtLeast(n, parts):
            return f"(at least {n} of: " + ", ".join(in_words(part) for part in parts) + ")"
        case Negation(part):
            return f"not {in_words(part)}"
        case Known(anchor):
            return f"{anchor} known"
        case Compared(_, name, op, value):
            return f"{name} {_SIGNS[op]} {value}"
        case Said(concepts):
            return "said " + "|".join(concepts)
        case Fact(kind, concepts, op, value, agg):
            name = f"{kind} " + "|".join(concepts)
            if op is None:
                return name
            return f"{'' if agg == 'any' else agg + ' '}{name} {_SIGNS[op]} {value}"


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "="}
