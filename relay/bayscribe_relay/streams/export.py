"""One encounter as files: its beam and its turns."""

import json
import wave
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bayscribe.errors import BadUse, IntegrityError
from bayscribe.wire.header import SegmentHeader
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.report import EncounterReport, Placement, TurnRow
from bayscribe_relay.streams.verify import walk

MOST_SILENCE_S = 3600
"""A hole longer than this between two segments is not written out as zeros."""


def export(store: Store, encounter: str, opening: Sequence[OpeningKey], out: Path) -> list[Path]:
    """Write ``beam.wav``, ``turns.rttm`` and ``turns.jsonl``.

    Raises:
        BadUse: no such encounter, or the folder cannot be written.
        IntegrityError: something in the encounter does not verify; nothing is left behind.
    """
    device = store.device_of(encounter)
    mark = store.mark(device) if device is not None else None
    if device is None or mark is None:
        raise BadUse(f"no encounter {encounter}", "list them with `bayscribe-relay streams`")
    state = next(s for s in store.encounters(device) if s.encounter == encounter)
    report = EncounterReport(device, state)
    beam = out / "beam.wav"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with wave.open(str(beam), "wb") as wav:
            _write_beam(store, encounter, report, wav, opening)
        return [beam, *_write_turns(report.turns, encounter, out)]
    except IntegrityError:
        beam.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise BadUse(f"{out} cannot be written: {error.strerror}", code="file") from None


def _write_beam(
    store: Store,
    encounter: str,
    report: EncounterReport,
    wav: wave.Wave_write,
    opening: Sequence[OpeningKey],
) -> None:
    mark = store.mark(report.device)
    placement, written, rate = Placement(), 0, 0
    for checked in walk(store, mark, opening) if mark is not None else ():
        if checked.record.encounter != encounter:
            continue
        if checked.problem:
            raise IntegrityError(
                f"record {checked.record.seq} of {report.device} does not verify",
                "see `bayscribe-relay streams verify`",
                code=checked.problem,
            )
        report.add(checked)
        if not isinstance(checked.header, SegmentHeader) or checked.pcm is None:
            continue
        if rate == 0:
            rate = checked.header.sample_rate
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(rate)
        at = placement.place(checked.header)
        silence = max(0, min(at - written, MOST_SILENCE_S * rate))
        wav.writeframesraw(bytes(2 * silence) + checked.pcm)
        written += silence + checked.header.samples
    if rate == 0:
        wav.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        wav.writeframesraw(b"")


def _write_turns(turns: Sequence[TurnRow], encounter: str, out: Path) -> list[Path]:
    """``turns.rttm`` (NIST RTTM, SPEAKER lines) and ``turns.jsonl``."""
    rttm, lines = out / "turns.rttm", out / "turns.jsonl"
    rttm.write_text(
        "".join(
            f"SPEAKER {encounter} 1 {turn.start:.3f} {turn.end - turn.start:.3f} "
            f"<NA> <NA> {turn.label} <NA> <NA>\n"
            for turn in turns
        ),
        encoding="utf-8",
    )
    lines.write_text("".join(json.dumps(asdict(turn)) + "\n" for turn in turns), encoding="utf-8")
    return [rttm, lines]
