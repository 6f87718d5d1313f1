"""What a site may set of the tracer, in TOML, and the catalogue as the site wants it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from bayscribe.errors import ConfigError
from bayscribe_relay.tracer.catalogue import FOLDER, PROFILES, load
from bayscribe_relay.tracer.gap import Gap
from bayscribe_relay.tracer.lexicon import FOLDER as LISTENING
from bayscribe_relay.tracer.lexicon import Lexicon, load_lexicon
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.rules import (
    AtLeast,
    Compared,
    Every,
    Fact,
    Negation,
    Rule,
    leaves,
)

Minutes = dict[str, int]


class TracerConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The ``[tracer]`` table.

    Attributes:
        catalogue: folder of a site's own catalogue; empty for the built-in one.
        listening: folder of a site's own word lists; empty for the built-in ones.
        profiles: which kinds of gaps are prompted.
        on: gaps to switch on that are off by default.
        off: gaps to switch off.
        grace_min: by gap, minutes between finding and prompt.
        lead_min: by gap, minutes between prompt and deadline.
        deadline_min: by gap, minutes from the named time to the deadline.
        thresholds: by gap and by figure or concept, another threshold of its trigger
            (``"crystalloid_ml_per_kg lt" = 28`` where one is compared twice).
        require_units: refuse numbers that come without a unit.
    """

    catalogue: str = ""
    listening: str = ""
    profiles: tuple[str, ...] = ("acute", "procedure", "disposition", "billing")
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    grace_min: Minutes = {}
    lead_min: Minutes = {}
    deadline_min: Minutes = {}
    thresholds: dict[str, dict[str, float]] = {}
    require_units: bool = True


def site_gaps(config: TracerConfig) -> tuple[Gap, ...]:
    """The gaps that a site wants judged, with its times and thresholds.

    Raises:
        ConfigError: a gap, profile or figure is unknown, or a time is impossible.
    """
    gaps = {gap.id: gap for gap in load(Path(config.catalogue) if config.catalogue else FOLDER)}
    for profile in config.profiles:
        if profile not in PROFILES:
            _refuse("profiles", profile, f"one of {', '.join(PROFILES)}")
    named = {
        "on": config.on,
        "off": config.off,
        "grace_min": config.grace_min,
        "lead_min": config.lead_min,
        "deadline_min": config.deadline_min,
        "thresholds": config.thresholds,
    }
    for key, names in named.items():
        for name in names:
            if name not in gaps:
                _refuse(key, name, "the id of a gap of the catalogue")
    for key in ("grace_min", "lead_min", "deadline_min"):
        for name, minutes in getattr(config, key).items():
            gaps[name] = _timed(gaps[name], key, minutes)
    for name, limits in config.thresholds.items():
        for figure, limit in limits.items():
            gaps[name] = _limited(gaps[name], figure, limit)
    return tuple(
        gap
        for gap in gaps.values()
        if (gap.enabled or gap.id in config.on)
        and gap.id not in config.off
        and gap.profile in config.profiles
    )


@cache
def _network(gaps: tuple[Gap, ...]) -> Network:
    return Network(gaps)


def site_network(config: TracerConfig) -> Network:
    """The compiled catalogue of a site; one for all encounters.

    Raises:
        ConfigError: as :func:`site_gaps`.
    """
    return _network(site_gaps(config))


def site_lexicon(config: TracerConfig) -> Lexicon:
    """The word lists of a site.

    Raises:
        ConfigError: a list is not as it must be.
    """
    return load_lexicon(Path(config.listening) if config.listening else LISTENING)


def _refuse(key: str, value: object, expected: str) -> None:
    raise ConfigError(f"tracer.{key}: found {value!r}: expected {expected}")


def _timed(gap: Gap, key: str, minutes: int) -> Gap:
    if minutes < 0:
        _refuse(f"{key}.{gap.id}", minutes, "0 or more minutes")
    if key == "grace_min" and gap.before_deadline:
        _refuse(f"{key}.{gap.id}", minutes, "lead_min: this gap is prompted before a deadline")
    if key == "lead_min" and not gap.before_deadline:
        _refuse(f"{key}.{gap.id}", minutes, "grace_min: this gap is prompted after its finding")
    if key == "deadline_min" and gap.deadline_anchor is None:
        _refuse(f"{key}.{gap.id}", minutes, "a gap with a deadline")
    if key == "grace_min":
        return replace(gap, grace_min=minutes)
    return (
        replace(gap, lead_min=minutes) if key == "lead_min" else replace(gap, deadline_min=minutes)
    )


def _limited(gap: Gap, key: str, limit: float) -> Gap:
    name, _, op = key.partition(" ")
    found = [leaf for leaf in leaves(gap.trigger) if _compares(leaf, name, op)]
    if len(set(found)) != 1:
        names = [n for leaf in leaves(gap.trigger) for n in _limits(leaf)]
        _refuse(
            f"thresholds.{gap.id}", key, f"one of {', '.join(names) or 'none: it has no figures'}"
        )
    return replace(gap, trigger=_with_limit(gap.trigger, found[0], limit))


def _limits(leaf: Rule) -> list[str]:
    match leaf:
        case Compared("calc", name, op):
            return [f"{name} {op}"]
        case Fact(_, (concept, *_), str(op), int() | float()):
            return [f"{concept} {op}"]
        case _:
            return []


def _compares(leaf: Rule, name: str, op: str) -> bool:
    return any(have == f"{name} {op}" or (not op and have.startswith(f"{name} "))
               for have in _limits(leaf))  # fmt: skip


def _with_limit(rule: Rule, leaf: Rule, limit: float) -> Rule:
    match rule:
        case Every(parts):
            return Every(tuple(_with_limit(part, leaf, limit) for part in parts))
        case AtLeast(n, parts):
            return AtLeast(n, tuple(_with_limit(part, leaf, limit) for part in parts))
        case Negation(part):
            return Negation(_with_limit(part, leaf, limit))
        case Fact() | Compared() if rule == leaf:
            return replace(rule, value=limit)
        case _:
            return rule
