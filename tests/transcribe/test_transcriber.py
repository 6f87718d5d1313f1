"""Stored audio becomes attributed utterances, whatever happens on the way."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from bayscribe.stream import Turn
from bayscribe_relay.clinical.stays import Binding
from bayscribe_relay.transcribe import service
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.follow import rebind
from bayscribe_relay.transcribe.model import Model
from bayscribe_relay.transcribe.progress import Progress
from bayscribe_relay.transcribe.recogniser import Pcm, RecogniserAbsent, RecogniserFailed, Stretch
from bayscribe_relay.transcribe.service import Transcriber
from bayscribe_relay.transcribe.zone import Zone
from transcribe.stored_speech import (
    WALL_NS,
    Bay,
    MarkRecogniser,
    cut,
    done,
    spoken,
    turn,
    until,
)

RECORDING = "e" * 32
QUICK = TranscribeConfig(look_s=0.05, lease_s=5.0)

TALK = spoken(
    (1, 0.5, 0.8), (2, 1.0, 1.3), (3, 2.2, 2.5), (4, 4.2, 4.5), (5, 5.2, 5.6), (6, 8.5, 8.9),
    seconds=12,
)  # fmt: skip
TURNS = [
    turn(1, 0.4, 1.4),
    turn(2, 1.4, 2.6),
    turn(3, 4.0, 4.7, "nurse"),
    turn(4, 5.0, 5.8, "nurse"),
    turn(5, 8.4, 9.0),
]
CUTS = (3.0, 6.0, 9.5)
SAID = [("clinician", "w1 w2 w3"), ("nurse", "w4 w5"), ("clinician", "w6")]


@pytest.fixture
def bay(tmp_path: Path) -> Iterator[Bay]:
    made = Bay(tmp_path)
    yield made
    made.close()


@contextlib.asynccontextmanager
async def transcriber(
    bay: Bay,
    make: Callable[[Model, TranscribeConfig], MarkRecogniser] = MarkRecogniser,
    config: TranscribeConfig = QUICK,
) -> AsyncIterator[Transcriber]:
    async with Transcriber.running(config, bay.store, bay.clinical, [bay.opening], make) as running:
        yield running


def said(bay: Bay, recording: str = RECORDING) -> list[tuple[str, str]]:
    found = bay.clinical.utterances(recording=recording)
    return [(u.speaker, u.text) for u in found if not u.withdrawn]


async def transcribe(
    bay: Bay, make: Callable[[Model, TranscribeConfig], MarkRecogniser] = MarkRecogniser
) -> None:
    async with transcriber(bay, make):
        await until(done(bay), "the whole transcript")


def record(bay: Bay, turns: Sequence[Turn] = TURNS) -> None:
    bay.whole(RECORDING, cut(TALK, turns, CUTS))


def test_words_go_to_their_speakers_with_times_and_digest(bay: Bay) -> None:
    record(bay)
    asyncio.run(transcribe(bay))
    assert said(bay) == SAID
    first, second, _ = bay.clinical.utterances(recording=RECORDING)
    assert first.id == f"{RECORDING}/1"
    assert first.primary
    assert not second.primary
    assert first.final
    assert [(w.start, w.end) for w in first.words] == [(0.5, 0.8), (1.0, 1.3), (2.2, 2.5)]
    assert first.start_ns == WALL_NS + 400_000_000
    assert second.end_ns == WALL_NS + 5_800_000_000
    assert (first.first_seq, first.last_seq) == (2, 2)
    assert (second.first_seq, second.last_seq) == (3, 3)
    assert len(first.model_sha256) == 64


def test_record_after_record_gives_what_the_whole_gives(bay: Bay, tmp_path: Path) -> None:
    record(bay)
    asyncio.run(transcribe(bay))
    (tmp_path / "live").mkdir()
    live = Bay(tmp_path / "live")

    async def bit_by_bit() -> None:
        async with transcriber(live) as running:
            live.open(RECORDING)
            for each in cut(TALK, TURNS, CUTS):
                live.record([each])
                running.notify(live.device)
                await until(done(live), "the record")
            live.end()
            await until(done(live), "the end")

    asyncio.run(bit_by_bit())
    assert live.clinical.utterances(recording=RECORDING) == bay.clinical.utterances(
        recording=RECORDING
    )
    live.close()


def test_a_transcript_is_taken_up_after_every_record_by_a_new_relay(
    bay: Bay, tmp_path: Path
) -> None:
    record(bay)
    asyncio.run(transcribe(bay))
    (tmp_path / "again").mkdir()
    again = Bay(tmp_path / "again")
    again.open(RECORDING)
    for each in cut(TALK, TURNS, CUTS):
        again.record([each])
        asyncio.run(transcribe(again))
    again.end()
    asyncio.run(transcribe(again))
    assert again.clinical.utterances(recording=RECORDING) == bay.clinical.utterances(
        recording=RECORDING
    )
    again.close()


def test_done_work_is_not_done_again(bay: Bay) -> None:
    record(bay)
    asyncio.run(transcribe(bay))
    before = bay.clinical.last_change()
    made: list[MarkRecogniser] = []

    def make(model: Model, config: TranscribeConfig) -> MarkRecogniser:
        made.append(MarkRecogniser(model, config))
        return made[-1]

    asyncio.run(transcribe(bay, make))
    assert [each.asked for each in made] == [0]
    assert all(each.closed for each in made)
    assert bay.clinical.last_change() == before


def test_where_no_turn_says_so_nothing_is_recognised(bay: Bay) -> None:
    asked: list[MarkRecogniser] = []

    def make(model: Model, config: TranscribeConfig) -> MarkRecogniser:
        asked.append(MarkRecogniser(model, config))
        return asked[-1]

    record(bay, [])
    asyncio.run(transcribe(bay, make))
    assert said(bay) == []
    assert asked[0].asked == 0


def test_a_word_far_from_every_turn_is_left_out_and_counted(bay: Bay) -> None:
    record(bay, [turn(1, 0.4, 1.4), turn(2, 8.4, 9.0)])
    bay.whole("f" * 32, cut(spoken(seconds=60), [turn(9, 1, 2)], (10.0, 20.0, 30.0, 40.0, 50.0)))
    asyncio.run(transcribe(bay))
    assert said(bay) == [("clinician", "w1 w2"), ("clinician", "w6")]


def test_a_revised_turn_is_withdrawn_and_its_words_are_somebody_elses(bay: Bay) -> None:
    revised = turn(9, 8.4, 9.0, "nurse", revises=5, emitted=11.0)
    bay.open(RECORDING)
    segments = cut(TALK, [*TURNS, revised], (3.0, 6.0, 10.5))
    bay.record(segments[:3])
    asyncio.run(transcribe(bay))
    assert said(bay)[-1] == ("clinician", "w6")
    bay.record(segments[3:])
    bay.end()
    asyncio.run(transcribe(bay))
    assert said(bay)[-1] == ("nurse", "w6")
    old = bay.clinical.utterance(f"{RECORDING}/5")
    new = bay.clinical.utterance(f"{RECORDING}/9")
    assert old is not None
    assert old.withdrawn
    assert new is not None
    assert new.text == "w6"


def test_a_persons_correction_of_the_speaker_stays(bay: Bay) -> None:
    bay.open(RECORDING)
    segments = cut(TALK, [*TURNS, turn(9, 8.4, 9.0, "nurse", revises=5, emitted=11.0)], (3.0, 10.5))
    bay.record(segments[:2])
    asyncio.run(transcribe(bay))
    for ident in ("3", "5"):
        was = bay.clinical.utterance(f"{RECORDING}/{ident}")
        assert was is not None
        bay.clinical.put_utterance(
            msgspec.structs.replace(was, speaker="patient", reattributed=True)
        )
    bay.record(segments[2:])
    bay.end()
    asyncio.run(transcribe(bay))
    assert said(bay) == [("clinician", "w1 w2 w3"), ("patient", "w4 w5"), ("patient", "w6")]


def test_two_patients_in_one_bay_get_their_own_words(bay: Bay) -> None:
    def binding(stay: str, since: float, until_s: float | None) -> Binding:
        return Binding(
            stay=stay,
            device=bay.device,
            recording=RECORDING,
            from_ns=WALL_NS + round(since * 1e9),
            until_ns=None if until_s is None else WALL_NS + round(until_s * 1e9),
        )

    bay.clinical.bind(binding("1" * 32, 0, 3.5))
    record(bay)

    async def main() -> None:
        async with transcriber(bay):
            await until(done(bay), "the whole transcript")
            bay.clinical.bind(binding("2" * 32, 3.5, None))
            await until(lambda: len(bay.clinical.utterances(stay="2" * 32)) == 2, "the second stay")

    asyncio.run(main())
    assert [u.text for u in bay.clinical.utterances(stay="1" * 32)] == ["w1 w2 w3"]
    assert [u.text for u in bay.clinical.utterances(stay="2" * 32)] == ["w4 w5", "w6"]
    bay.clinical.replace_bindings(RECORDING, [binding("3" * 32, 0, None)])
    assert rebind(bay.clinical, RECORDING) == 3
    assert [u.stay[:1] for u in bay.clinical.utterances(recording=RECORDING)] == ["3"] * 3


def test_audio_that_fails_twice_is_marked_and_the_rest_goes_on(bay: Bay) -> None:
    class Fragile(MarkRecogniser):
        def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
            if 1_004 in pcm:
                self.asked += 1
                raise RecogniserFailed("the recogniser process: died", code="died")
            return super().listen(pcm)

    made: list[Fragile] = []

    def make(model: Model, config: TranscribeConfig) -> Fragile:
        made.append(Fragile(model, config))
        return made[-1]

    record(bay)
    asyncio.run(transcribe(bay, make))
    assert said(bay) == [("clinician", "w1 w2 w3"), ("nurse", ""), ("clinician", "w6")]
    found = bay.clinical.utterances(recording=RECORDING)
    assert [u.not_transcribed for u in found] == ["", "died", ""]
    assert made[0].asked == 5  # its own segment twice, and the next one, which it precedes


def test_without_a_recogniser_audio_waits(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(MarkRecogniser):
        def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
            self.asked += 1
            if self.asked < 3:
                raise RecogniserAbsent("no recogniser")
            return super().listen(pcm)

    monkeypatch.setattr(service, "_RETRY_S", 0.01)
    record(bay)
    asyncio.run(transcribe(bay, Late))
    assert said(bay) == SAID


def test_two_relays_on_one_database_transcribe_once(bay: Bay) -> None:
    made: list[MarkRecogniser] = []

    def make(model: Model, config: TranscribeConfig) -> MarkRecogniser:
        made.append(MarkRecogniser(model, config))
        return made[-1]

    async def main() -> None:
        async with transcriber(bay, make), transcriber(bay, make):
            bay.open(RECORDING)
            for each in cut(TALK, TURNS, CUTS):
                bay.record([each])
                await until(done(bay), "the record")
            bay.end()
            await until(done(bay), "the end")

    asyncio.run(main())
    assert said(bay) == SAID
    assert sum(each.asked for each in made) == 3


def test_another_relay_goes_on_when_a_lease_runs_out(bay: Bay) -> None:
    bay.open(RECORDING)
    dead = Progress(bay.clinical, "dead", 1.0)
    held = dead.take(RECORDING, bay.device, 1)
    assert held is not None
    assert Progress(bay.clinical, "other", 1.0).take(RECORDING, bay.device, 1) is None
    bay.record(cut(TALK, TURNS, CUTS))
    bay.end()
    asyncio.run(transcribe(bay))
    assert said(bay) == SAID
    assert not dead.commit(held, 2, Zone(), "", [])
    assert said(bay) == SAID


def test_unreadable_audio_is_marked_by_what_is_wrong(bay: Bay) -> None:
    bay.open(RECORDING)
    segments = cut(TALK, TURNS, CUTS)
    bay.record(segments[:1])
    with bay.clinical.engine.begin() as link:
        link.exec_driver_sql("DELETE FROM payloads WHERE seq = 2")
    bay.record(segments[1:])
    bay.end()
    asyncio.run(transcribe(bay))
    heard = {u.speaker: u for u in bay.clinical.utterances(recording=RECORDING)}
    assert heard["nurse"].text == "w4 w5"
    assert Progress(bay.clinical, "look", 1.0).counts(RECORDING)["segments-without-audio"] == 1


KILLED = """
import asyncio, os, sys
from pathlib import Path
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.store.store import Store
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.service import Transcriber
from transcribe.stored_speech import MarkRecogniser

class Slow(MarkRecogniser):
    def listen(self, pcm):
        if self.asked == int(sys.argv[3]):
            print("here", flush=True)
            asyncio.run(asyncio.sleep(600))
        return super().listen(pcm)

async def main():
    url = sys.argv[1]
    key = OpeningKey.from_text(Path(sys.argv[2]).read_text())
    config = TranscribeConfig(look_s=0.05, lease_s=1.0)
    async with Transcriber.running(config, Store(url), ClinicalStore(url), [key], Slow):
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1])
def test_a_relay_killed_in_the_middle_loses_and_doubles_nothing(
    bay: Bay, tmp_path: Path, after: int
) -> None:
    record(bay)
    (tmp_path / "seal.open").write_text(bay.opening.to_text())
    paths = [path for path in sys.path if path]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, bay.url, str(tmp_path / "seal.open"), str(after)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
    ) as relay:
        assert relay.stdout is not None
        assert relay.stdout.readline() == b"here\n"
        relay.kill()
    made: list[MarkRecogniser] = []

    def make(model: Model, config: TranscribeConfig) -> MarkRecogniser:
        made.append(MarkRecogniser(model, config))
        return made[-1]

    asyncio.run(transcribe(bay, make))
    assert said(bay) == SAID
    assert made[0].asked == 3 - after
    assert not [u for u in bay.clinical.utterances(recording=RECORDING) if u.withdrawn]
