"""One scene, from its specification to samples and truth."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenes.events import Event, EventType, add_events
from benchmarks.scenes.levels import SAMPLE_RATE, Signal, db_a, db_spl
from benchmarks.scenes.noise import noise_bed
from benchmarks.scenes.room import (
    BAY,
    SECOND_PLACE,
    Array,
    Mount,
    Room,
    make_array,
    place_talkers,
)
from benchmarks.scenes.talkers import (
    SpokenTurn,
    Stage,
    azimuths,
    direct,
    responses_of,
    turn_image,
)
from benchmarks.scenes.timeline import (
    duration_samples,
    load_script,
    load_sentences,
    overlap_fraction,
    speak_turns,
)
from benchmarks.scenes.voices import VOICES, Speech

LSB = 4
"""Samples are rounded to multiples of it: 14 significant bits keep the FLAC files small."""

DRY_GAIN_DB = 12.0
"""Gain of the stored dry speech against its level at 1 m."""


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """Everything that determines a scene.

    Attributes:
        name: folder and RTTM name.
        seed: of every random choice.
        script: name of a script.
        voices: role to voice name.
        mics: 4 (radius 32 mm) or 6 (46.3 mm).
        mount: where the array hangs.
        level: noise bed in dB SPL.
        rt60: reverberation time of the bay in seconds.
        walk: whether the clinician moves.
        n95: whether staff wear respirators in the second half.
        babble: voices in the background.
        events: what happens, in order.
        overlap: wanted share of speech with two talkers.
        voice_offset: dB by which everybody in the bay talks louder than usual.
    """

    name: str
    seed: int
    script: str
    voices: dict[str, str]
    mics: int
    mount: Mount
    level: float
    rt60: float = 0.45
    walk: bool = True
    n95: bool = False
    babble: int = 9
    events: tuple[EventType, ...] = ("alarm_med", "cart")
    overlap: float = 0.085
    voice_offset: float = 0.0


@dataclass(slots=True)
class Scene:
    """A rendered scene.

    Attributes:
        spec: what was asked for.
        pcm: int16 (frames, mics).
        noise: float64 (frames, mics), of it all that is nobody's turn, before rounding.
        truth: contents of ``scene.json``.
        script: contents of ``script.json``.
        speech: (start s, end s, role) of every active span, for the RTTM.
        dry: role to float64 (frames,), at 1 m, before ``DRY_GAIN_DB``.
        responses: place to (reverberant, direct) at microphone 0.
        enrolments: role to clean float64 (frames,).
    """

    spec: SceneSpec
    pcm: NDArray[np.int16]
    noise: Signal
    truth: dict[str, Any]
    script: dict[str, Any]
    speech: list[tuple[float, float, str]]
    dry: dict[str, Signal]
    responses: dict[str, tuple[Signal, Signal]]
    enrolments: dict[str, Signal]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A random stream for one purpose, so that changing one thing leaves the others alone."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def render(spec: SceneSpec, speech: Speech) -> Scene:
    """Renders a scene; the same specification gives the same samples."""
    roles, script = load_script(spec.script)
    cast = {role: VOICES[spec.voices[role]] for role in roles}
    turns = speak_turns(script, cast, speech, generator(spec.seed, "pauses"), spec.overlap)
    samples = duration_samples(turns)
    bay = Room(BAY, spec.rt60)
    array = make_array(spec.mics, spec.mount, generator(spec.seed, "array"))
    stage = _stage(roles, spec)
    spoken = direct(
        turns,
        stage,
        spec.level,
        spec.voice_offset,
        spec.walk,
        spec.n95,
        generator(spec.seed, "levels"),
    )
    responses = responses_of(stage, bay, array)
    images = [turn_image(s, responses, samples) for s in spoken]
    bed = noise_bed(
        array,
        bay,
        samples,
        spec.level,
        spec.babble,
        speech,
        generator(spec.seed, "bed"),
        {v.name for v in cast.values()},
    )
    extra, events = add_events(
        spec.events, array, bay, samples, speech, generator(spec.seed, "events")
    )
    mix = bed + extra + np.sum(images, axis=0)
    pcm = (np.clip(np.rint(mix * 32768.0 / LSB), -8192, 8191) * LSB).astype(np.int16)
    truth = _header(spec, array, bay, samples, bed, extra, events)
    truth |= _talk_truth(spoken, stage, array, images, bed + extra, samples)
    truth["talkers"] = _talkers(spec, roles, stage)
    enrolments: dict[str, Signal] = {
        r: enrolment(cast[r].name, speech) for r in roles if r in {"clinician", "nurse"}
    }
    truth["enrolment"] = {
        "file": "enrol_clinician.flac",
        "seconds": round(len(enrolments["clinician"]) / SAMPLE_RATE, 1),
        "sources": ["scripts/enrolment.toml"],
    }
    mic0 = array.mics[0]
    return Scene(
        spec=spec,
        pcm=pcm,
        noise=bed + extra,
        truth=truth,
        script=_script_truth(spec, spoken),
        speech=[(a / SAMPLE_RATE, b / SAMPLE_RATE, t.role) for t in turns for a, b in t.active],
        dry=_dry_tracks(spoken, roles, samples),
        responses={n: (responses[n][0], bay.direct(p, mic0)) for n, p in stage.places.items()},
        enrolments=enrolments,
    )


def enrolment(voice: str, speech: Speech) -> Signal:
    """Clean speech of one voice, none of it from a script, with natural pauses."""
    parts: list[Signal] = [np.zeros(SAMPLE_RATE // 4)]
    for text in load_sentences("enrolment"):
        parts += [speech.say(VOICES[voice], text), np.zeros(int(0.4 * SAMPLE_RATE))]
    return np.concatenate(parts)


def _stage(roles: list[str], spec: SceneSpec) -> Stage:
    rng = generator(spec.seed, "places")
    people = place_talkers(roles, rng)
    home = {r: ("clinA" if r == "clinician" else r) for r in roles}
    places = {home[r]: p for r, p in people.items()}
    if spec.walk:
        places["clinB"] = np.array(SECOND_PLACE) + rng.uniform(-0.12, 0.12, 3)
    return Stage(places, home)


def _talkers(spec: SceneSpec, roles: list[str], stage: Stage) -> dict[str, Any]:
    second = stage.places.get("clinB")
    return {
        role: {
            "speaker": f"tts:{spec.voices[role]}",
            "position": stage.places[stage.home[role]].tolist(),
            "position2": second.tolist() if second is not None and role == "clinician" else None,
        }
        for role in roles
    }


def _header(
    spec: SceneSpec,
    array: Array,
    bay: Room,
    samples: int,
    bed: Signal,
    extra: Signal,
    events: list[Event],
) -> dict[str, Any]:
    return {
        "scene": spec.name,
        "seed": spec.seed,
        "script": spec.script,
        "fs": SAMPLE_RATE,
        "duration": samples // SAMPLE_RATE,
        "n_mics": spec.mics,
        "mount": spec.mount,
        "radius_m": array.radius,
        "array_centre": array.centre.tolist(),
        "mic_positions": array.mics.tolist(),
        "azimuth_convention": "degrees in the array plane, 0 = centre->mic 0, positive towards "
        "mic 1; elevation = out of plane along cross(u,v)",
        "axis_u": array.axis_u.tolist(),
        "axis_v": array.axis_v.tolist(),
        "room_dim": list(BAY),
        "rt60_wanted": spec.rt60,
        "rt60_measured": round(bay.rt60, 3),
        "spl_full_scale_rms": 120.0,
        "mic_sensitivity": "-26 dBFS RMS @ 94 dB SPL (70 dB SPL = -50 dBFS RMS)",
        "dry_gain_db": DRY_GAIN_DB,
        "lsb": LSB,
        "noise_bed_dbspl": round(db_spl(bed), 2),
        "noise_with_events_dbspl": round(db_spl(bed + extra), 2),
        "noise_bed_dba": round(db_a(np.ascontiguousarray(bed[:, 0])), 1),
        "events": [
            {
                "type": e.type,
                "start": e.start,
                "end": e.end,
                "level_at_array_dbspl": e.level,
                "info": e.info,
            }
            for e in events
        ],
    }


def _talk_truth(
    spoken: list[SpokenTurn],
    stage: Stage,
    array: Array,
    images: list[Signal],
    noise: Signal,
    samples: int,
) -> dict[str, Any]:
    turns = [s.turn for s in spoken]
    rows = [
        _turn_truth(s, stage, array, image, noise, spoken)
        for s, image in zip(spoken, images, strict=True)
    ]
    track: dict[str, list[list[float]]] = {t.role: [] for t in turns}
    share: dict[str, int] = dict.fromkeys(track, 0)
    power: list[Signal] = []
    for s, row, image in zip(spoken, rows, images, strict=True):
        track[s.turn.role] += row["azimuth"]
        share[s.turn.role] += sum(b - a for a, b in s.turn.active)
        power += [image[a:b, 0] for a, b in s.turn.active]
    return {
        "speech_at_mic0_dbspl": round(db_spl(np.concatenate(power)), 1),
        "median_turn_snr_db": round(float(np.median([r["snr_mic0_db"] for r in rows])), 1),
        "overlap_fraction": round(overlap_fraction(turns, samples), 4),
        "clinician_share": round(share["clinician"] / sum(share.values()), 3),
        "turns": rows,
        "azimuth_track": track,
    }


def _turn_truth(
    s: SpokenTurn,
    stage: Stage,
    array: Array,
    image: Signal,
    noise: Signal,
    spoken: list[SpokenTurn],
) -> dict[str, Any]:
    turn = s.turn
    heard = np.concatenate([image[a:b, 0] for a, b in turn.active])
    beneath = np.concatenate([noise[a:b, 0] for a, b in turn.active])
    overlapped = sum(
        max(0, min(turn.end, o.turn.end) - max(turn.first, o.turn.first))
        for o in spoken
        if o is not s
    )
    home = stage.places[s.segments[-1].place]
    return {
        "id": s.id,
        "talker": turn.role,
        "start": round(turn.first / SAMPLE_RATE, 4),
        "end": round(turn.end / SAMPLE_RATE, 4),
        "start_sample": turn.first,
        "end_sample": turn.end,
        "src": f"script:{s.id}",
        "segments": [[g.first, g.end, g.place, g.fade] for g in s.segments],
        "vad": [[round(a / SAMPLE_RATE, 3), round(b / SAMPLE_RATE, 3)] for a, b in turn.active],
        "level_1m_dbspl": round(s.level, 1),
        "n95": s.n95,
        "walking": s.walking,
        "azimuth": azimuths(s, stage, array),
        "distance": round(float(np.linalg.norm(home - array.centre)), 2),
        "overlap_frac": round(overlapped / len(turn.audio), 3),
        "snr_mic0_db": round(db_spl(heard) - db_spl(beneath), 1),
        "text": " ".join(x.text for x in turn.sentences),
        "text_origin": "script",
    }


def _script_truth(spec: SceneSpec, spoken: list[SpokenTurn]) -> dict[str, Any]:
    return {
        "scene": spec.name,
        "script": spec.script,
        "turns": [
            {
                "id": s.id,
                "talker": s.turn.role,
                "start": round(s.turn.first / SAMPLE_RATE, 3),
                "end": round(s.turn.end / SAMPLE_RATE, 3),
                "sentences": [
                    {
                        "text": x.text,
                        "start": round(x.first / SAMPLE_RATE, 3),
                        "end": round(x.end / SAMPLE_RATE, 3),
                    }
                    for x in s.turn.sentences
                ],
            }
            for s in spoken
        ],
    }


def _dry_tracks(spoken: list[SpokenTurn], roles: list[str], samples: int) -> dict[str, Signal]:
    tracks: dict[str, Signal] = {role: np.zeros(samples) for role in roles}
    for s in spoken:
        tracks[s.turn.role][s.turn.first : s.turn.end] += s.dry
    return tracks
