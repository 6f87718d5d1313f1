"""A commissioning in progress: the array is open, a thread listens, a front asks."""

import threading
import time
from dataclasses import dataclass

from bayscribe.audio.capture import CaptureSource
from bayscribe.commission import report
from bayscribe.commission.bench import Bench
from bayscribe.commission.engine import Answers, Commissioning, Progress, StepState
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.commission.steps import all_steps
from bayscribe.errors import BayscribeError
from bayscribe.stream import Block

READ_S = 0.1
SOUND_PATIENCE_S = 60.0
"""Seconds without any sound after which a step that listens fails."""


@dataclass(frozen=True, slots=True)
class StepView:
    """A step as a front shows it."""

    id: str
    title: str
    state: str
    words: str
    advice: str
    attempts: int
    may_skip: bool


class Session:
    """One commissioning of one unit. Any thread may ask; one listens.

    Args:
        bench: the unit.
        source: its array, not yet started.
    """

    def __init__(self, bench: Bench, source: CaptureSource) -> None:
        self.bench = bench
        self._source = source
        self._guard = threading.RLock()
        self._changed = threading.Condition(self._guard)
        self.engine = Commissioning(all_steps(bench, self._report))
        self._last_sound = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commissioning", daemon=True)

    def open(self) -> None:
        """Open the array and listen.

        Raises:
            CaptureError: it cannot be opened, most likely since the daemon has it.
            AudioFormatError: it has another rate, format or channel count.
        """
        self._source.probe()
        self._source.start()
        self._thread.start()

    def close(self) -> None:
        """Close the array."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._source.stop()

    # -- fronts

    def start(self, step_id: str, answers: Answers | None = None) -> Outcome | None:
        """Start a step; its outcome if it needs no sound.

        Raises:
            BadUse: it is not its turn, or an answer is bad.
        """
        with self._changed:
            self._last_sound = time.monotonic()
            outcome = self.engine.start(step_id, answers)
            if outcome is not None:
                self._settled(step_id, outcome)
            return outcome

    def skip(self, step_id: str, reason: str) -> None:
        """Leave a step out.

        Raises:
            BadUse: it cannot be left out, or no reason was given.
        """
        with self._changed:
            self.engine.skip(step_id, reason)
            self._changed.notify_all()

    def cancel(self) -> None:
        """End the step that listens without a verdict."""
        with self._changed:
            self.engine.cancel()
            self._changed.notify_all()

    def wait(self, step_id: str, timeout_s: float) -> Outcome | None:
        """Wait for a step's outcome; None if it still listens."""
        with self._changed:
            self._changed.wait_for(lambda: not self._listens(step_id), timeout_s)
            return None if self._listens(step_id) else self.progress(step_id).outcome

    def _listens(self, step_id: str) -> bool:
        return self.engine.progress[step_id].state is StepState.LISTENING

    def progress(self, step_id: str) -> Progress:
        """How a step stands."""
        with self._guard:
            return self.engine.progress[step_id]

    def live(self) -> Live | None:
        """What the step that listens shows."""
        with self._guard:
            return self.engine.live()

    def views(self) -> list[StepView]:
        """All steps as a front shows them."""
        with self._guard:
            return [
                StepView(
                    id=step.id,
                    title=step.title,
                    state=mine.state.value,
                    words=mine.outcome.words if mine.outcome is not None else "",
                    advice=mine.outcome.advice if mine.outcome is not None else "",
                    attempts=mine.attempts,
                    may_skip=step.may_skip,
                )
                for step in self.engine.steps
                for mine in (self.engine.progress[step.id],)
            ]

    @property
    def current(self) -> str | None:
        """The step that comes next; None when all are done."""
        with self._guard:
            step = self.engine.current
            return None if step is None else step.id

    # -- the listening thread

    def _run(self) -> None:
        while not self._stop.is_set():
            for item in self._source.read(READ_S):
                if isinstance(item, Block):
                    self._take(item)
            self._look_for_silence()

    def _take(self, block: Block) -> None:
        with self._changed:
            self._last_sound = time.monotonic()
            step = self.engine.listening
            try:
                outcome = self.engine.push(block)
            except BayscribeError as error:
                outcome = Outcome(False, str(error), advice=error.what_to_do)
                self.engine.fail(outcome)
            if outcome is not None and step is not None:
                self._settled(step.id, outcome)

    def _look_for_silence(self) -> None:
        with self._changed:
            if self.engine.listening is None:
                return
            if time.monotonic() - self._last_sound > SOUND_PATIENCE_S:
                problem = self._source.problem
                words = "no sound arrives" if problem is None else str(problem)
                self.engine.fail(Outcome(False, words, advice="Check the array's cable."))
                self._changed.notify_all()

    def _settled(self, step_id: str, outcome: Outcome) -> None:
        if step_id == "level" and outcome.passed:
            self.bench.sensitivity = float(outcome.figures["sensitivity_dbfs_at_94db_spl"])
        self._changed.notify_all()

    def _report(self, answers: Answers) -> Outcome:
        return report.write(self.bench, self.engine, dict(answers))
