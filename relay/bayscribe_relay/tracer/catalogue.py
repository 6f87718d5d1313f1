"""The catalogue: YAML files that a clinician can read, one a measure group, strictly loaded."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bayscribe.errors import ConfigError
from bayscribe_relay.tracer.anchors import ANCHORS, anchor
from bayscribe_relay.tracer.entries import Entry
from bayscribe_relay.tracer.figures import FIGURES
from bayscribe_relay.tracer.gap import Doubt, Gap
from bayscribe_relay.tracer.lexicon import load_lexicon
from bayscribe_relay.tracer.placeholders import PLACEHOLDERS
from bayscribe_relay.tracer.rules import Compared, Fact, Known, Rule, Said, leaves, parse_rule
from bayscribe_relay.tracer.texts import names_in

FOLDER = Path(__file__).parent / "catalogue"
PROFILES = ("acute", "procedure", "disposition", "billing", "screening")
PRIORITIES = ("critical", "high", "medium", "low")
ROLES = ("attending", "resident", "app", "nurse", "family", "patient")
ATTRIBUTES = ("age_years", "age_known", "sex", "interpreter_needed", "phoenix_score")
_OTHER_FILES = ("concepts.yaml", "sources.yaml")
_GAP_KEYS = (
    *("order", "id", "group", "title", "measure", "profile", "enabled_by_default", "priority"),
    *("applies", "trigger", "satisfied_by_structured_data", "attestation", "deadline", "prompt"),
    *("coding_or_billing_consequence", "facts", "notes"),
)
_PROMPT_KEYS = (
    *("mode", "grace_min", "lead_min", "repeat", "after_deadline"),
    *("defer_to_open_prompts", "template"),
)


@dataclass(frozen=True)
class _Names:
    """What rules may name."""

    concepts: frozenset[str]
    words: frozenset[str]
    sources: frozenset[str]


@cache
def load(folder: Path = FOLDER) -> tuple[Gap, ...]:
    """All gaps, in the order in which those of one minute are judged.

    Raises:
        ConfigError: a file is not as it must be; file, gap, key, value and what was expected
            are named.
    """
    names = _Names(
        frozenset(_read(folder / "concepts.yaml").value("concepts")),
        frozenset(concept.name for concept in load_lexicon().concepts),
        frozenset(_read(folder / "sources.yaml").value("sources")),
    )
    found: dict[int, Gap] = {}
    ids: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name in _OTHER_FILES:
            continue
        file = _read(path)
        file.only("group", "gaps")
        for i, raw in enumerate(file.tables("gaps")):
            name = raw.text("id")
            entry = Entry(file.value("gaps")[i], f"{path.name}: {name}")
            if name in ids:
                entry.refuse("id", name, f"an id of its own; {ids[name]} has it too")
            ids[name] = path.name
            order = entry.minutes("order", needed=True)
            if order in found:
                entry.refuse("order", order, f"a place of its own; {found[order].id} has it")
            found[order] = _gap(entry, names)
    if not found:
        raise ConfigError(f"{folder}: holds no gaps", "name a folder with a catalogue")
    gaps = tuple(found[order] for order in sorted(found))
    for gap in gaps:
        for other in gap.defer_to:
            if other not in ids:
                entry = Entry({}, f"{ids[gap.id]}: {gap.id}")
                entry.refuse("prompt: defer_to_open_prompts", other, "the id of a gap")
    return gaps


def _read(path: Path) -> Entry:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "complete the catalogue") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"{path.name}: not YAML: {line}", "correct the file") from None
    return Entry(tree, path.name)


def _gap(entry: Entry, names: _Names) -> Gap:
    entry.only(*_GAP_KEYS)
    prompt, attestation = entry.table("prompt"), entry.table("attestation")
    prompt.only(*_PROMPT_KEYS)
    prompt.one_of("repeat", ("once", "per_instance"))
    prompt.one_of("after_deadline", ("fire_as_late",))
    before = prompt.one_of("mode", ("on_trigger", "before_deadline")) == "before_deadline"
    if before and entry.value("deadline") is None:
        entry.refuse("deadline", None, "a deadline, as the prompt comes before one")
    anchor_name, offset = _deadline(entry)
    answers = attestation.names("concepts_any_of")
    for word in answers:
        if word not in names.words:
            attestation.refuse("concepts_any_of", word, "a concept that listening/ holds")
    roles = attestation.names("by_roles")
    for role in roles:
        if role not in ROLES:
            attestation.refuse("by_roles", role, f"one of {', '.join(ROLES)}")
    template = prompt.text("template")
    for name in sorted(names_in(template) - set(PLACEHOLDERS)):
        prompt.refuse("template", f"{{{name}}}", f"one of {', '.join(sorted(PLACEHOLDERS))}")
    exclusions = entry.table("applies").value("exclude_if_any")
    return Gap(
        id=entry.text("id"),
        group=entry.text("group"),
        title=entry.text("title"),
        profile=entry.one_of("profile", PROFILES),
        priority=entry.one_of("priority", PRIORITIES),
        enabled=entry.flag("enabled_by_default"),
        exclusions=tuple(_rule(node, f"{entry.where}: applies", names) for node in exclusions),
        trigger=_rule(entry.value("trigger"), f"{entry.where}: trigger", names),
        attestation=answers,
        roles=roles,
        deadline_anchor=anchor_name,
        deadline_min=offset,
        before_deadline=before,
        grace_min=prompt.minutes("grace_min", needed=not before),
        lead_min=prompt.minutes("lead_min", needed=before),
        defer_to=prompt.names("defer_to_open_prompts"),
        template=template,
        doubts=_doubts(entry, names),
    )


def _doubts(entry: Entry, names: _Names) -> tuple[Doubt, ...]:
    found = []
    for fact in entry.tables("facts"):
        fact.only("claim", "verified", "confirm", "source")
        source = fact.text("source")
        if source not in names.sources:
            fact.refuse("source", source, "a source of sources.yaml")
        if not fact.flag("verified"):
            found.append(Doubt(fact.text("claim"), fact.text("confirm"), source))
    return tuple(found)


def _deadline(entry: Entry) -> tuple[str | None, int | tuple[int, int, int]]:
    """Anchor and minutes; the minutes may be ``age:ADULT|FROM_9|YOUNGER``."""
    if entry.value("deadline") is None:
        return None, 0
    deadline = entry.table("deadline")
    deadline.only("anchor", "offset_min")
    name = deadline.text("anchor")
    if anchor(name) is None:
        deadline.refuse("anchor", name, "a named time")
    offset = deadline.value("offset_min")
    if isinstance(offset, int) and not isinstance(offset, bool):
        return name, offset
    try:
        adult, from_9, younger = (int(x) for x in offset.removeprefix("age:").split("|"))
    except (AttributeError, ValueError):
        deadline.refuse("offset_min", offset, "minutes, or age:ADULT|FROM_9|YOUNGER")
    return name, (adult, from_9, younger)


def _rule(node: Any, where: str, names: _Names) -> Rule:  # noqa: ANN401 - parsed YAML
    rule = parse_rule(node, where)
    entry = Entry({}, where)
    for leaf in leaves(rule):
        match leaf:
            case Fact(_, concepts):
                _known(entry, "fact: concept", concepts, names.concepts, "of concepts.yaml")
            case Said(concepts):
                _known(entry, "said: concept", concepts, names.words, "that listening/ holds")
            case Compared("calc", name):
                _known(entry, "calc: fn", (name,), frozenset(FIGURES), "of the figures")
            case Compared("patient", name):
                _known(entry, "patient: field", (name,), frozenset(ATTRIBUTES), "of a patient")
            case Known(name):
                times = frozenset({name} if anchor(name) else ANCHORS)
                _known(entry, "anchor_known", (name,), times, "of the named times")
            case _:
                pass
    return rule


def _known(
    entry: Entry, key: str, found: tuple[str, ...], known: frozenset[str], which: str
) -> None:
    for name in found:
        if name not in known:
            shown = f": {', '.join(sorted(known))}" if len(known) < 30 else ""
            entry.refuse(key, name, f"a name {which}{shown}")
