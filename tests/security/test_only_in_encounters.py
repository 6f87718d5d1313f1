"""Whatever happens in whatever order: sound is kept from opening to closing and nowhere else."""

import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayscribe.config import load_config
from bayscribe.daemon import Daemon
from bayscribe.listening import Listening, array_of
from bayscribe.stream import Block, Gap, GapReason, Pcm
from bayscribe.units import MonotonicNs, SampleIndex
from bayscribe.vault.inspect import Verdict, inspect
from bayscribe.wire.header import EncounterClosed, EncounterOpened, SegmentHeader
from hil.bay import EXCERPT, VOICE, Bay, profile_for

STEPS = st.lists(
    st.sampled_from(["open", "close", "sound", "sound", "gap"]), min_size=4, max_size=14
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    bay = Bay(tmp_path_factory.mktemp("bay") / "bay", profile_for(EXCERPT), VOICE)
    config = load_config(bay.unit / "bayscribe.toml")
    file = bay.unit / "bayscribe.toml"
    return Daemon(config, file, Listening(array_of(config, file), MonotonicNs(0), Event()))


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_no_sample_outside_an_open_encounter_is_ever_written(
    daemon: Daemon, steps: list[str]
) -> None:
    mics: Pcm = soundfile.read(EXCERPT, dtype="int16", frames=16_000)[0]
    at = getattr(test_no_sample_outside_an_open_encounter_is_ever_written, "at", 0)
    opened: list[tuple[int, int]] = []
    begin: int | None = None
    for step in [*steps, "close"]:
        if step == "open" and begin is None:
            daemon._open("test")
            begin = at
        elif step == "close" and begin is not None:
            daemon._close("test")
            opened.append((begin, at))
            begin = None
        elif step == "gap":
            daemon._take(Gap(SampleIndex(at), 8_000, GapReason.MUTED))
            at += 8_000
        elif step == "sound":
            block = Block(SampleIndex(at), np.ascontiguousarray(mics), time.monotonic_ns())
            daemon._take(block)
            at += len(mics)
    test_no_sample_outside_an_open_encounter_is_ever_written.at = at  # type: ignore[attr-defined]  # the array's clock goes on from one example to the next
    known: set[tuple[int, int]] = getattr(daemon, "opened_in_test", set()) | set(opened)
    daemon.opened_in_test = known  # type: ignore[attr-defined]  # the vault keeps what came before
    buffer = Path(daemon._config.unit.state_directory) / "buffer"
    found = inspect(buffer, None)
    assert found.verdict is Verdict.INTACT
    inside = False
    for header, _ in found.headers:
        if isinstance(header, EncounterOpened):
            inside = True
        elif isinstance(header, EncounterClosed):
            inside = False
        elif isinstance(header, SegmentHeader):
            assert inside
            first, end = header.first_sample, header.first_sample + header.samples
            assert any(begin <= first and end <= over for begin, over in known), (first, end, known)
    assert not inside
