"""Prompts in this bay: what the daemon holds, and gives its stream and its messages.

:meth:`BayPrompts.post` and :meth:`BayPrompts.told` may be called from any thread; the rest
belongs to the daemon's own.
"""

import logging
import queue
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bayscribe.diarize.speech import VoiceActivity
from bayscribe.errors import AudioFormatError
from bayscribe.pipeline import Output
from bayscribe.prompts.clip import Clip, chime_clip, speech_clip
from bayscribe.prompts.config import BayPromptsConfig
from bayscribe.prompts.duck import Duck
from bayscribe.prompts.outcomes import OutcomeBook
from bayscribe.prompts.playback import AlsaSink, Player, Sink
from bayscribe.prompts.queue import PromptQueue, Room, Settled, Sound
from bayscribe.prompts.quiet import QuietMoment
from bayscribe.stream import Block, Gap
from bayscribe.units import SAMPLE_RATE
from bayscribe.wire.messages import Prompt, PromptOutcome, PromptWithdrawn

STALE_S = 0.6
"""Seconds since the newest captured block from which the analysis is no news any more."""

log = logging.getLogger("bayscribe.prompts")


class BayPrompts:
    """Takes prompts, waits for a quiet moment, plays, and reports.

    Args:
        config: the ``[prompts]`` table.
        folder: where outcomes survive a restart.
        send: reports an outcome to the relay.
        activity: voice activity for the microphones themselves; it runs only while a
            prompt waits.
        sink: what sounds; ALSA unless a test says otherwise.
    """

    def __init__(
        self,
        config: BayPromptsConfig,
        folder: Path,
        send: Callable[[PromptOutcome], None],
        activity: VoiceActivity,
        sink: Sink | None = None,
    ) -> None:
        self._config = config
        self._send = send
        self._activity = activity
        self.duck = Duck()
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._player = Player(sink or AlsaSink(config.device), self.duck, self._over)
        plays = bool(config.device) or sink is not None
        self._queue = PromptQueue(config.speech_within_s, plays=plays)
        self._quiet = QuietMoment()
        self._heard_ns = 0
        self._book = OutcomeBook(folder / "outcomes")
        self._speech: Clip | None = None

    def start(self) -> None:
        """Tell the relay what an earlier run could not."""
        for ident in self._book.open:
            self._settle(Settled(ident, "failed", "restart"), send=False)
        for outcome in self._book.unsent:
            self._send(outcome)

    def post(self, message: Prompt | PromptWithdrawn) -> None:
        """Any thread: a message of the relay."""
        if isinstance(message, Prompt):
            self._events.put(partial(self._take, message))
        else:
            self._events.put(partial(self._withdraw, message.id))

    def told(self, outcome: PromptOutcome) -> None:
        """Any thread: the relay was sent this outcome."""
        self._events.put(lambda: self._book.told(outcome.id))

    def ducks(self, block: Block) -> bool:
        """Whether the unit hears itself in this block."""
        if block.playback:
            return True
        length = round(len(block.pcm) / SAMPLE_RATE * 1e9)
        return self.duck.covers(block.monotonic_ns, block.monotonic_ns + length)

    def hear(self, block: Block, output: Output, *, analysed: bool) -> None:
        """What the line made of a block."""
        self._heard_ns = max(self._heard_ns, block.monotonic_ns)
        if analysed and self._queue.waits:
            mean = np.round(block.pcm.mean(axis=1)).astype(np.int16)
            now = self._activity.push(block.first, mean)
            self._quiet.hear(now, output.speech, output.tracks)
        else:
            self._quiet.forget()

    def gap(self, _gap: Gap) -> None:
        """Samples are missing: nobody knows who spoke in them."""
        self._quiet.forget()

    def step(self, *, recording: bool, muted: bool) -> None:
        """Do what is due; called several times a second."""
        while not self._events.empty():
            self._events.get()()
        now_ns = time.monotonic_ns()
        fresh = now_ns - self._heard_ns < STALE_S * 1e9
        quiet = recording and fresh and self._quiet.lasts_s() >= self._config.quiet_s
        room = Room(time.time_ns(), now_ns / 1e9, recording, muted, quiet)
        for action in self._queue.step(room):
            if isinstance(action, Settled):
                self._settle(action)
            else:
                self._sound(action)

    def stop(self) -> None:
        """End playback; what has not sounded is suppressed."""
        self._player.stop()
        while not self._events.empty():
            self._events.get()()
        for settled in self._queue.end():
            self._settle(settled)

    # -- in the daemon's thread

    def _take(self, prompt: Prompt) -> None:
        settled = self._queue.take(prompt)
        if settled is None:
            return
        self._book.take(prompt.id)
        for one in settled:
            self._settle(one)

    def _withdraw(self, ident: str) -> None:
        for one in self._queue.withdraw(ident):
            self._settle(one)

    def _sound(self, sound: Sound) -> None:
        """Start the player, or settle at once what cannot be played."""
        if sound.what == "chime":
            try:
                speech = sound.prompt.speech
                self._speech = None if speech is None else speech_clip(speech)
            except AudioFormatError as error:
                self._finished(str(error))
                return
            clip = chime_clip()
        else:
            assert self._speech is not None  # noqa: S101 - read before the chime
            clip = self._speech
        self._quiet.forget()
        self._player.start(clip.at(self._config.level_db))

    def _over(self, problem: str | None) -> None:
        """In the player's thread."""
        self._events.put(lambda: self._finished(problem))

    def _finished(self, problem: str | None) -> None:
        if problem is not None:
            log.warning("a prompt could not be played: %s", problem)
        for one in self._queue.sounded(time.monotonic(), problem):
            self._settle(one)

    def _settle(self, settled: Settled, *, send: bool = True) -> None:
        outcome = PromptOutcome(
            id=settled.id,
            outcome=settled.outcome,
            reason=settled.reason,
            wall_ns=time.time_ns(),
        )
        self._book.settle(outcome)
        log.info("prompt %s", settled.outcome, extra={"id": settled.id, "reason": settled.reason})
        if send:
            self._send(outcome)
