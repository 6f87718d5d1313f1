"""The queue of prompts of one bay: a state machine without clock, thread or sound.

::

            take                quiet          chime over, speech to come
    (none) ─────▶ waiting ─────▶ chiming ─────▶ listening ─────▶ speaking ─────▶ played
                     │               │     no speech │  quiet         │
       withdrawn, expired, muted     │      └───▶ played              │
       or recording ended            │               │ no quiet moment │
                     ▼               ▼ device fails  ▼                 ▼ device fails
                suppressed         failed       played, chime-only   played, chime-only

At most one sounds. Its speech waits for a quiet moment of its own: whoever began to talk
at the chime is not talked over.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from bayscribe.wire.messages import Prompt

MOST_WAITING = 8
"""More than that waiting in one bay is noise; the newest is refused."""

_KNOWN = 256


class Phase(StrEnum):
    """Where the prompt that has its turn stands."""

    IDLE = "idle"
    CHIMING = "chiming"
    LISTENING = "listening"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Room:
    """What is known of the room now.

    Attributes:
        wall_ns: time of day, for expiry.
        monotonic_s: for waiting.
        recording: whether an encounter is open.
        muted: whether capture is muted: nobody can say then that nobody speaks.
        quiet: whether nobody has spoken for long enough.
    """

    wall_ns: int
    monotonic_s: float
    recording: bool
    muted: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """Play this now."""

    prompt: Prompt
    what: Literal["chime", "speech"]


@dataclass(frozen=True, slots=True)
class Settled:
    """This is what became of it."""

    id: str
    outcome: Literal["played", "suppressed", "failed"]
    reason: str = ""


class PromptQueue:
    """Prompts in the order of their coming.

    Args:
        speech_within_s: seconds after the chime in which the speech must begin.
        plays: whether the unit has a playback device at all.
    """

    def __init__(self, speech_within_s: float, *, plays: bool) -> None:
        self._within = speech_within_s
        self._plays = plays
        self._waiting: deque[Prompt] = deque()
        self._current: Prompt | None = None
        self._give_up = 0.0
        self._known: deque[str] = deque(maxlen=_KNOWN)
        self.phase = Phase.IDLE

    @property
    def waits(self) -> bool:
        """Whether anything waits for a quiet moment."""
        return bool(self._waiting) or self.phase is Phase.LISTENING

    def take(self, prompt: Prompt) -> list[Settled] | None:
        """A prompt came: nothing, or at once what became of it; None if it is known."""
        if prompt.id in self._known:
            return None
        self._known.append(prompt.id)
        if not self._plays:
            return [Settled(prompt.id, "suppressed", "off")]
        if len(self._waiting) >= MOST_WAITING:
            return [Settled(prompt.id, "suppressed", "too-many")]
        self._waiting.append(prompt)
        return []

    def withdraw(self, ident: str) -> list[Settled]:
        """A prompt is not wanted any more; one that has sounded was played all the same."""
        for prompt in self._waiting:
            if prompt.id == ident:
                self._waiting.remove(prompt)
                return [Settled(ident, "suppressed", "withdrawn")]
        if (
            self.phase is Phase.LISTENING
            and self._current is not None
            and self._current.id == ident
        ):
            return [self._end("played", "chime-only")]
        return []

    def step(self, room: Room) -> list[Sound | Settled]:
        """Time has passed, or the room has changed."""
        done: list[Sound | Settled] = list(self._drop(room))
        if self.phase is Phase.LISTENING:
            done += self._listen(room)
        if self.phase is Phase.IDLE and self._waiting and room.quiet and not room.muted:
            self._current = self._waiting.popleft()
            self.phase = Phase.CHIMING
            done.append(Sound(self._current, "chime"))
        return done

    def sounded(self, monotonic_s: float, problem: str | None) -> list[Settled]:
        """What was playing is over, or could not be played."""
        if self._current is None:
            return []
        if self.phase is Phase.SPEAKING:
            return [self._end("played", "" if problem is None else "chime-only")]
        if problem is not None:
            return [self._end("failed", problem[:200])]
        if self._current.speech is None:
            return [self._end("played", "")]
        self.phase = Phase.LISTENING
        self._give_up = monotonic_s + self._within
        return []

    def end(self) -> list[Settled]:
        """The unit stops: nothing more is played."""
        settled = [Settled(prompt.id, "suppressed", "stop") for prompt in self._waiting]
        self._waiting.clear()
        if self._current is not None:
            settled.append(self._end("played", "chime-only"))
        return settled

    def _drop(self, room: Room) -> list[Settled]:
        """Prompts whose time is over."""
        settled: list[Settled] = []
        for prompt in tuple(self._waiting):
            if room.wall_ns >= prompt.expires_wall_ns:
                reason = "muted" if room.muted else "expired"
            elif not room.recording:
                reason = "not-recording"
            else:
                continue
            self._waiting.remove(prompt)
            settled.append(Settled(prompt.id, "suppressed", reason))
        return settled

    def _listen(self, room: Room) -> list[Sound | Settled]:
        assert self._current is not None  # noqa: S101 - the phase says so
        over = room.wall_ns >= self._current.expires_wall_ns or room.monotonic_s >= self._give_up
        if over or not room.recording:
            return [self._end("played", "chime-only")]
        if not room.quiet or room.muted:
            return []
        self.phase = Phase.SPEAKING
        return [Sound(self._current, "speech")]

    def _end(self, outcome: Literal["played", "failed"], reason: str) -> Settled:
        assert self._current is not None  # noqa: S101 - every caller has seen it
        ident, self._current = self._current.id, None
        self.phase = Phase.IDLE
        return Settled(ident, outcome, reason)
