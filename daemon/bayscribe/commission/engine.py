"""The steps of a commissioning as a state machine, without clock, thread or front.

::

    WAITING ──start──▶ LISTENING ──outcome──▶ PASSED
       ▲ │                 │                  FAILED ──start──▶ LISTENING
       │ └──skip──▶ SKIPPED┘ cancel ─▶ WAITING

A step may be started when every step before it has passed or was skipped with a reason; it
may be started again at any time, and whatever stands behind it keeps its own verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bayscribe.commission.outcome import Live, Measurement, Outcome
from bayscribe.errors import BadUse
from bayscribe.stream import Block


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    LISTENING = "listening"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a step asks the operator.

    Attributes:
        name: in answers.
        label: in words.
        default: what stands there; empty for none.
        number: whether it is one.
        choices: what may be said; anything if empty.
    """

    name: str
    label: str
    default: str = ""
    number: bool = False
    choices: tuple[str, ...] = ()


Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        id: stable.
        title: in words.
        instruction: what the operator does now.
        picture: inline SVG.
        begin: makes the measurement from the answers, or has the outcome at once.
        fields: what is asked first.
        may_skip: whether it can be skipped with a reason.
    """

    id: str
    title: str
    instruction: str
    picture: str
    begin: Callable[[Answers], Measurement | Outcome]
    fields: tuple[Field, ...] = ()
    may_skip: bool = False


@dataclass(slots=True)
class Progress:
    """How a step stands."""

    state: StepState = StepState.WAITING
    outcome: Outcome | None = None
    answers: dict[str, str] = field(default_factory=dict)
    attempts: int = 0


_DONE = (StepState.PASSED, StepState.SKIPPED)


class Commissioning:
    """The steps and where each stands.

    Args:
        steps: in their order.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.progress = {step.id: Progress() for step in self.steps}
        self._running: tuple[Step, Measurement] | None = None

    def step(self, step_id: str) -> Step:
        """One step by its id.

        Raises:
            BadUse: there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise BadUse(f"there is no step {step_id!r}", code="step")

    @property
    def current(self) -> Step | None:
        """The first step that is neither passed nor skipped; None when all are."""
        for step in self.steps:
            if self.progress[step.id].state not in _DONE:
                return step
        return None

    @property
    def listening(self) -> Step | None:
        """The step whose measurement listens."""
        return self._running[0] if self._running is not None else None

    def start(self, step_id: str, answers: Answers | None = None) -> Outcome | None:
        """Start a step, or start it again; its outcome if it needs no sound.

        Raises:
            BadUse: a step before it is not done, another one listens, or an answer is bad.
        """
        step = self.step(step_id)
        if self._running is not None:
            raise BadUse(f"step {self._running[0].id} is listening", "cancel it first")
        for before in self.steps[: self.steps.index(step)]:
            if self.progress[before.id].state not in _DONE:
                raise BadUse(f"step {before.id} comes first", code="step-order")
        stated = _checked(step, answers or {})
        mine = self.progress[step.id]
        mine.answers, mine.attempts = stated, mine.attempts + 1
        begun = step.begin(stated)
        if isinstance(begun, Outcome):
            self._settle(step, begun)
            return begun
        self._running = (step, begun)
        mine.state, mine.outcome = StepState.LISTENING, None
        return None

    def push(self, block: Block) -> Outcome | None:
        """Give sound to the step that listens; its outcome once there is one."""
        if self._running is None:
            return None
        step, measurement = self._running
        outcome = measurement.push(block)
        if outcome is not None:
            self._running = None
            self._settle(step, outcome)
        return outcome

    def live(self) -> Live | None:
        """What the step that listens shows."""
        return None if self._running is None else self._running[1].live()

    def fail(self, outcome: Outcome) -> None:
        """End the step that listens: the array has gone, or patience has."""
        if self._running is not None:
            step, self._running = self._running[0], None
            self._settle(step, outcome)

    def cancel(self) -> None:
        """End the step that listens without a verdict."""
        if self._running is not None:
            step, self._running = self._running[0], None
            self.progress[step.id].state = StepState.WAITING

    def skip(self, step_id: str, reason: str) -> None:
        """Leave a step out; the report says so and why.

        Raises:
            BadUse: it cannot be left out, or no reason was given.
        """
        step = self.step(step_id)
        if not step.may_skip:
            raise BadUse(f"step {step.id} cannot be skipped", code="step-needed")
        if not reason.strip():
            raise BadUse("a step is skipped with a reason", code="reason")
        if self.listening is step:
            self.cancel()
        words = f"skipped: {reason.strip()[:200]}"
        self.progress[step.id] = Progress(StepState.SKIPPED, Outcome(True, words))

    def _settle(self, step: Step, outcome: Outcome) -> None:
        mine = self.progress[step.id]
        mine.state = StepState.PASSED if outcome.passed else StepState.FAILED
        mine.outcome = outcome


def _checked(step: Step, answers: Answers) -> dict[str, str]:
    stated = {}
    for asked in step.fields:
        value = str(answers.get(asked.name, asked.default)).strip()[:500]
        if asked.number:
            try:
                float(value)
            except ValueError:
                raise BadUse(f"{asked.label}: {value!r} is not a number", code="answer") from None
        if asked.choices and value not in asked.choices:
            raise BadUse(f"{asked.label}: one of {', '.join(asked.choices)}", code="answer")
        stated[asked.name] = value
    return stated
