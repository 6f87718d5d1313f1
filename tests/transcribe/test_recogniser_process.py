"""The recogniser's process may die at any time; nothing else does."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bayscribe.errors import ModelError
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.model import Model, digest, find_model
from bayscribe_relay.transcribe.process import RecogniserProcess
from bayscribe_relay.transcribe.recogniser import RecogniserAbsent, RecogniserFailed
from transcribe.stored_speech import RATE

SILENCE = np.zeros(RATE, np.int16)

CHILD = """
import os, socket, sys, time
from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.frames import *
link = socket.socket(fileno=os.dup(0))
receive(link)
send(link, Ready())
while True:
    try:
        frame = receive(link)
    except EOFError:
        sys.exit(0)
    what = frame.pcm[0]
    if what == 1:
        os.abort()
    if what == 2:
        time.sleep(600)
    if what == 3:
        send(link, Failed("MemoryError"))
        continue
    send(link, Heard((Stretch((Word("yes", 0.0, 1.0, 1.0),), 0.0, 0.0, 1.0),)))
"""


def pcm(first: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(10, first, np.int16)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RecogniserProcess]:
    model = Model("m", "1", "0" * 64, tmp_path)
    config = TranscribeConfig(answer_s=20.0)
    made = RecogniserProcess(model, config, (sys.executable, "-c", CHILD))
    yield made
    made.close()
    assert made.pid is None


def test_a_crash_costs_one_answer_and_a_new_process_gives_the_next(
    process: RecogniserProcess,
) -> None:
    assert process.listen(pcm(0))[0].words[0].text == "yes"
    with pytest.raises(RecogniserFailed) as failed:
        process.listen(pcm(1))
    assert failed.value.code == "died"
    assert process.listen(pcm(0))[0].words[0].text == "yes"
    assert process.starts == 2


def test_a_killed_process_is_replaced(process: RecogniserProcess) -> None:
    process.start()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    try:
        process.listen(pcm(0))
    except RecogniserFailed:  # killed before or while it was asked: both may be seen
        process.listen(pcm(0))
    assert process.starts == 2


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    config = TranscribeConfig(answer_s=0.5)
    model = Model("m", "1", "0" * 64, tmp_path)
    process = RecogniserProcess(model, config, (sys.executable, "-c", CHILD))
    with pytest.raises(RecogniserFailed) as failed:
        process.listen(pcm(2))
    assert failed.value.code == "timeout"
    assert process.pid is None


def test_one_without_memory_says_so_and_starts_afresh(process: RecogniserProcess) -> None:
    with pytest.raises(RecogniserFailed, match="MemoryError"):
        process.listen(pcm(3))
    assert process.listen(pcm(0))
    assert process.starts == 2


def test_one_that_never_starts_is_absent_not_failed(tmp_path: Path) -> None:
    model = Model("m", "1", "0" * 64, tmp_path)
    process = RecogniserProcess(model, TranscribeConfig(), (sys.executable, "-c", "pass"))
    with pytest.raises(RecogniserAbsent):
        process.listen(pcm(0))
    with pytest.raises(RecogniserAbsent):
        process.listen(pcm(0))
    assert process.starts <= 1


def test_the_digest_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    first = digest(tmp_path)
    assert first == digest(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    (tmp_path / "b").write_bytes(b"1")
    swapped = digest(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert len({first, swapped, digest(tmp_path)}) == 3


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.bin is missing"):
        find_model(str(tmp_path))


def test_the_default_model_comes_from_its_package() -> None:
    model = find_model(None)
    assert model.name == "whisper-tiny.en"
    assert len(model.sha256) == 64


def test_it_dies_when_memory_is_short_and_only_it(tmp_path: Path) -> None:
    """The real model does not fit into 256 MiB of address space."""
    del tmp_path
    process = RecogniserProcess(find_model(None), TranscribeConfig(memory_mib=256))
    with pytest.raises(RecogniserAbsent):
        process.listen(SILENCE)
