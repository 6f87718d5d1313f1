"""Which scenes there are: the committed ones, and a random variety for tuning."""

import numpy as np

from benchmarks.scenes.events import EVENT_TYPES, EventType
from benchmarks.scenes.room import Mount
from benchmarks.scenes.scene import SceneSpec, generator
from benchmarks.scenes.timeline import load_script, load_sexes
from benchmarks.scenes.voices import VOICES

COMMITTED: tuple[SceneSpec, ...] = (
    SceneSpec(
        name="sepsis-4mic-70db",
        seed=2701,
        script="sepsis",
        voices={"clinician": "joe", "nurse": "heart", "therapist": "rms", "patient": "slt-deep"},
        mics=4,
        mount="ceiling",
        level=70.0,
        rt60=0.4,
        walk=True,
        events=("alarm_med", "cart"),
    ),
    SceneSpec(
        name="sepsis-6mic-60db",
        seed=2702,
        script="sepsis",
        voices={"clinician": "heart", "nurse": "awb", "therapist": "joe-deep", "patient": "slt"},
        mics=6,
        mount="shelf",
        level=60.0,
        rt60=0.5,
        walk=False,
        events=("page", "alarm_high"),
    ),
)
"""The recordings under ``tests/scenes/``."""

EXCERPT = ("sepsis-4mic-70db", "excerpt-4mic-70db", 14.0, 11.0)
"""Scene, folder, start and length in seconds of the short cut for fast tests."""

TALKERS = tuple(n for n in VOICES if n != "kal")
MOUNTS: tuple[Mount, ...] = ("ceiling", "shelf", "wall")
SCRIPTS = ("sepsis", "chest-pain", "breathless")


def random_cast(
    roles: list[str], sexes: dict[str, str], rng: np.random.Generator
) -> dict[str, str]:
    """A voice for each role, no engine's voice twice while there are others.

    Args:
        roles: who is to be cast.
        sexes: ``f`` or ``m`` for the roles of which the script says *she* or *he*.
        rng: the choice.
    """
    cast: dict[str, str] = {}
    engines: list[str] = []
    for role in sorted(roles, key=lambda r: r not in sexes):
        free = [n for n in TALKERS if n not in cast.values()]
        free = [n for n in free if VOICES[n].sex == sexes.get(role, VOICES[n].sex)]
        fewest = min(engines.count(VOICES[n].engine) for n in free)
        free = [n for n in free if engines.count(VOICES[n].engine) == fewest]
        name = free[int(rng.integers(len(free)))]
        cast[role] = name
        engines.append(VOICES[name].engine)
    return cast


def random_spec(
    seed: int, level: float, mics: int | None = None, script: str | None = None
) -> SceneSpec:
    """One of endlessly many scenes: script, cast, room, array, movement, masks and events.

    Args:
        seed: decides everything not given.
        level: noise bed in dB SPL.
        mics: 4 or 6, or None for either.
        script: script name, or None for any.
    """
    rng = generator(seed, "spec")
    chosen = script or SCRIPTS[int(rng.integers(len(SCRIPTS)))]
    roles, _ = load_script(chosen)
    count = int(rng.choice((4, 6)))
    mount = MOUNTS[int(rng.integers(len(MOUNTS)))]
    events: tuple[EventType, ...] = tuple(
        EVENT_TYPES[int(i)] for i in rng.choice(len(EVENT_TYPES), 2, replace=False)
    )
    return SceneSpec(
        name=f"r{seed:04d}-{mics or count}mic-{mount}-{level:.0f}db",
        seed=seed,
        script=chosen,
        voices=random_cast(roles, load_sexes(chosen), rng),
        mics=mics or count,
        mount=mount,
        level=level,
        rt60=float(np.round(rng.uniform(0.35, 0.6), 2)),
        walk=bool(rng.random() < 0.5),
        n95=bool(rng.random() < 0.35),
        babble=int(rng.integers(7, 12)),
        events=events,
        overlap=float(np.round(rng.uniform(0.055, 0.11), 3)),
        voice_offset=float(np.round(rng.normal(-0.7, 0.8), 1)),
    )
