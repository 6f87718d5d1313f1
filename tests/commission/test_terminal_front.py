"""The commissioning on a real terminal (a pty), with the recorded microphone."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commission.unboxed import SOUNDS, Unboxed
from hil.bay import BIN
from hil.unboxed import UnboxedRun

LIMIT_S = 60.0
COLUMNS = 60


def _own_terminal() -> None:
    """Make standard input the session's terminal, and let its signals through.

    A test run that was started in the background ignores them, and its children after it.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A person at a narrow terminal, on which ``bayscribe commission`` runs."""

    def __init__(self, unboxed: Unboxed) -> None:
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [str(BIN / "bayscribe"), "commission", "--config", str(unboxed.config)],
            stdin=other, stdout=other, stderr=other, start_new_session=True,
            env=os.environ | unboxed.environment, preexec_fn=_own_terminal,  # noqa: PLW1509 - a few system calls
        )  # fmt: skip
        os.close(other)
        self.seen = ""

    def until(self, words: str) -> str:
        """What was shown since the last call, up to and with these words."""
        end = time.monotonic() + LIMIT_S
        while words not in self.seen:
            assert time.monotonic() < end, f"{words!r} never came: {self.seen}"
            self._read(0.2)
        shown, _, self.seen = self.seen.partition(words)
        return shown + words

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._own], [], [], timeout_s)[0]:
            return True
        try:
            self.seen += os.read(self._own, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            return False
        return True

    def type(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def ended(self, keys: str) -> tuple[int, str]:
        """Type these until it ends; exit status, and all that was shown since the last words.

        An interrupt that comes just before Python begins to read does not end the reading.
        """
        end = time.monotonic() + LIMIT_S
        self.type(keys)
        while self._read(1.0) and self.process.poll() is None:
            assert time.monotonic() < end
            if not select.select([self._own], [], [], 1.0)[0]:
                self.type(keys)
        while self._read(0.0) and select.select([self._own], [], [], 0)[0]:
            pass
        return self.process.wait(LIMIT_S), self.seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._own)


@pytest.fixture
def terminal(unboxed: Unboxed) -> Iterator[Terminal]:
    made = Terminal(unboxed)
    yield made
    made.close()


def test_a_failed_step_says_what_to_do_and_may_be_tried_again(
    unboxed: Unboxed, terminal: Terminal
) -> None:
    dead = SOUNDS["array"]()
    dead[:, 1] = 0
    for sound, verdict, words in (
        (dead, "FAILED", "microphone 1 is dead"),
        (SOUNDS["array"](), "passed", ""),
    ):
        terminal.until("Enter to start")
        terminal.type("\n")
        terminal.until("[")  # it listens
        player = unboxed.play(sound)
        try:
            shown = terminal.until(f"{verdict}: ") + terminal.until("==")
        finally:
            unboxed.ended.set()
            player.join()
            unboxed.ended.clear()
        assert words in shown
        bars = [part for part in shown.replace("\n", "\r").split("\r") if part.startswith("   [")]
        assert bars
        assert all(len(bar) < COLUMNS for bar in bars)
    asked = terminal.until("q to end: ")
    assert "microphone 1 is dead" not in asked
    status, _ = terminal.ended("q\n")
    assert status == 1


def test_a_step_that_must_be_done_cannot_be_skipped(terminal: Terminal) -> None:
    assert "s to skip" not in terminal.until("q to end: ")
    terminal.type("s\n")
    terminal.until("Why is it left out? ")
    terminal.type("no time\n")
    assert "step array cannot be skipped" in terminal.until("q to end: ")


@pytest.mark.parametrize("keys", ["\x04", "\x03"], ids=["end of input", "interrupted"])
def test_leaving_in_the_middle_is_no_crash(terminal: Terminal, keys: str) -> None:
    terminal.until("q to end: ")
    status, shown = terminal.ended(keys)
    assert status != 0
    assert "Traceback" not in shown


def test_a_terminal_that_goes_away_ends_it(terminal: Terminal) -> None:
    terminal.until("q to end: ")
    terminal.process.send_signal(1)
    assert terminal.process.wait(LIMIT_S) != 0


def play(terminal: Terminal, unboxed: Unboxed, step: str) -> str:
    """Start the step that waits, let it hear its sound, and take what was shown of it."""
    terminal.until("q to end: ")
    terminal.type("\n")
    terminal.until("[")
    player = unboxed.play(SOUNDS[step]())
    try:
        return terminal.until("passed: ") + terminal.until("==")
    finally:
        unboxed.ended.set()
        player.join()
        unboxed.ended.clear()


def leave_out(terminal: Terminal, reason: str) -> None:
    assert "s to skip" in terminal.until("q to end: ")
    terminal.type("s\n")
    terminal.until("Why is it left out? ")
    terminal.type(f"{reason}\n")


def answer(terminal: Terminal, question: str, said: str) -> None:
    terminal.until(question)
    terminal.type(f"{said}\n")


@pytest.mark.slow
def test_a_person_comes_to_the_signed_report(unboxed: Unboxed) -> None:
    guide = UnboxedRun(unboxed)
    order = guide.token(guide.site())
    terminal = Terminal(unboxed)
    try:
        play(terminal, unboxed, "array")
        _stops_a_step_that_listens(terminal)
        for step in ("channels-front", "channels-left"):
            play(terminal, unboxed, step)
        _answers_that_cannot_be(terminal)
        play(terminal, unboxed, "noise")
        leave_out(terminal, "no speaker at hand")  # reverberation
        assert "the bed is at 20 degrees" in play(terminal, unboxed, "bed")
        for _ in ("door", "alarm", "voices"):
            leave_out(terminal, "later")
        _enrols_and_signs(terminal, order)
        status, _ = terminal.ended("")
        assert status == 0
    finally:
        terminal.close()
    verified = unboxed.bayscribe("commission", "--verify").communicate(timeout=LIMIT_S)[0]
    assert "the signature is good" in verified
    results = json.loads((unboxed.unit / "state" / "commissioning" / "results.json").read_text())
    assert results["operator"] == "R. Biomed"
    assert results["steps"]["level"]["words"] == "skipped: no calibrator"


def _stops_a_step_that_listens(terminal: Terminal) -> None:
    terminal.until("q to end: ")
    terminal.type("\n")
    terminal.until("[")
    terminal.type("\x03")
    terminal.until("what has passed stays")
    assert "Clap test: front" in terminal.until("Stand one metre")


def _answers_that_cannot_be(terminal: Terminal) -> None:
    terminal.until("q to end: ")
    terminal.type("\n")
    answer(terminal, "[94]: ", "loud")
    terminal.until("'loud' is not a number")
    leave_out(terminal, " ")
    terminal.until("is skipped with a reason")
    leave_out(terminal, "no calibrator")


def _enrols_and_signs(terminal: Terminal, order: Path) -> None:
    for path, verdict in (("/nowhere/enrol.toml", "FAILED: "), (str(order), "passed: ")):
        terminal.until("q to end: ")
        terminal.type("\n")
        answer(terminal, "only for a new unit): ", path)
        terminal.until(verdict)
    terminal.until("q to end: ")
    terminal.type("\n")
    terminal.until("relay reached")
    terminal.until("q to end: ")
    terminal.type("\n")
    answer(terminal, "Your name: ", "R. Biomed")
    answer(terminal, "Asset number: ", "4711")
    answer(terminal, "Remarks: ", "")
    terminal.until("the unit may go live")
