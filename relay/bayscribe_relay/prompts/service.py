"""The prompter: follows every open stay and brings its prompts to page and bay."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from bayscribe.errors import BayscribeError, StorageError
from bayscribe.wire.messages import Prompt, PromptOutcome, PromptWithdrawn
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.clinical.store import Changes, ClinicalStore
from bayscribe_relay.ingest.hub import Observer, ToDevice
from bayscribe_relay.prompts.config import PromptsConfig
from bayscribe_relay.prompts.live import Closed, Fired, LiveStay, TracerMaker
from bayscribe_relay.prompts.policy import next_look, release, spoken_answer
from bayscribe_relay.prompts.voice import speak

log = logging.getLogger("bayscribe.prompts")
_MINUTE_NS: Final = 60 * 10**9
_LOOK_S: Final = 1.0
"""Between looks at the changes that other relays on the database made."""

_RETRY_S: Final = 5.0

Send = Callable[[str, ToDevice], bool]
"""Send a message to a device; False if it is not connected to this relay."""


class Prompter(Observer):
    """Follows the open stays in a thread of its own.

    Several relays may do so on one database: a prompt is made by the first of them, moves on
    only from the state that it is in, and sounds in the bay through the relay that the bay's
    unit is connected to.

    Args:
        store: where stays and prompts stand.
        make: makes the tracer of a stay.
        send: brings a message to a device, from any thread.
        config: the site's.
    """

    def __init__(
        self, store: ClinicalStore, make: TracerMaker, send: Send, config: PromptsConfig
    ) -> None:
        self._store = store
        self._make = make
        self._send = send
        self._config = config
        self._bell = threading.Event()
        self._ending = False
        self._live: dict[str, LiveStay] = {}
        self._minutes: dict[str, int] = {}
        self._played: dict[str, int] = {}
        self._outcomes: list[PromptOutcome] = []
        self._look_at: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="prompter", daemon=True)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, store: ClinicalStore, make: TracerMaker, send: Send, config: PromptsConfig
    ) -> AsyncIterator["Prompter"]:
        """Follow the stays until the end of the block."""
        prompter = cls(store, make, send, config)
        unlisten = store.listen(prompter._bell.set)
        prompter._thread.start()
        try:
            yield prompter
        finally:
            unlisten()
            prompter._ending = True
            prompter._bell.set()
            await asyncio.to_thread(prompter._thread.join)

    def outcome(self, device: str, outcome: PromptOutcome) -> None:  # noqa: ARG002 - an observer's
        """A unit says what became of a prompt."""
        self._outcomes.append(outcome)
        self._bell.set()

    # -- the thread

    def _run(self) -> None:
        cursor: Changes | None = None
        while not self._ending:
            try:
                if cursor is None:
                    cursor = Changes(self._store)
                    self._live = {}
                    for stay in self._store.stays(state="open"):
                        self._live[stay.id] = LiveStay(self._store, self._make, stay)
                self._turn(cursor)
            except StorageError as error:
                log.error("prompts wait for the store: %s", error.line())  # noqa: TRY400 - one line
                cursor = None
                self._bell.wait(_RETRY_S)
            self._bell.wait(self._patience())
            self._bell.clear()

    def _patience(self) -> float:
        now = time.time_ns()
        ends = [now + int(_LOOK_S * 1e9), *self._look_at.values()]
        return max(0.0, (min(ends) - now) / 1e9)

    def _turn(self, cursor: Changes) -> None:
        now = time.time_ns()
        touched: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for change in cursor.take():
            if change.what in ("stay", "event", "utterance", "prompt") and change.stay:
                touched[change.stay].add((change.what, change.ref))
        while self._outcomes:
            self._note(self._outcomes.pop(0))
        for ident in {*touched, *self._due(now)}:
            try:
                self._look(ident, touched.get(ident, set()), now)
            except StorageError:
                raise
            except BayscribeError as error:
                log.error("stay %s is not traced: %s", ident, error.line())  # noqa: TRY400

    def _due(self, now: int) -> list[str]:
        """Stays that begin another minute, or whose waiting prompts may be due."""
        minutes = [
            ident
            for ident, live in self._live.items()
            if self._minutes.get(ident) != (now - live.stay.arrived_ns) // _MINUTE_NS
        ]
        return minutes + [ident for ident, at in self._look_at.items() if at <= now]

    def _look(self, ident: str, touched: set[tuple[str, str]], now: int) -> None:
        live = self._live.get(ident)
        new: list[Utterance] = []
        if live is None or ("stay", ident) in touched:
            stay = self._store.stay(ident)
            if stay is None or stay.state != "open":
                self._end(ident, now)
                return
            if live is None:
                live = self._live[ident] = LiveStay(self._store, self._make, stay)
            else:
                live.renew(stay)
        told = {item for item in touched if item[0] in ("event", "utterance")}
        if told:
            new = live.follow(told)
        self._minutes[ident] = (now - live.stay.arrived_ns) // _MINUTE_NS
        fired, closed = live.advance(now)
        for one in fired:
            self._make_card(live.stay, one, now)
        cards = self._store.prompts(ident)
        if not cards:
            return
        self._settle(live, cards, closed, now)
        self._answer(live.stay, cards, new, now)
        self._give(live.stay, now)

    # -- what becomes of a prompt

    def _make_card(self, stay: Stay, fired: Fired, now: int) -> None:
        card = PromptCard(
            id=f"{stay.id}-{fired.gap}",
            stay=stay.id,
            gap=fired.gap,
            title=fired.title,
            text=fired.text,
            minute=fired.minute,
            fired_ns=now,
            due_ns=fired.due_ns,
            explanation=fired.explanation,
            events=fired.events,
        )
        if self._store.add_prompt(card):
            audit.record(self._store, "tracer", "prompt-fired", stay.id, fired.gap)

    def _settle(
        self, live: LiveStay, cards: list[PromptCard], closed: list[Closed], now: int
    ) -> None:
        by_gap = {one.gap: one for one in closed}
        for card in cards:
            if card.state not in ("waiting", "shown"):
                continue
            if (one := by_gap.get(card.gap)) is not None:
                if one.said:
                    self._change(
                        card, now, state="answered", answered_by="voice", answer=one.answer
                    )
                else:
                    self._change(card, now, state="withdrawn", answered_by="record")
            elif card.gap not in live.fired:
                self._change(card, now, state="withdrawn", answered_by="correction")

    def _answer(
        self, stay: Stay, cards: list[PromptCard], utterances: list[Utterance], now: int
    ) -> None:
        config = self._config_of(stay)
        for utterance in utterances:
            found = spoken_answer(utterance, cards, self._played, config)
            if found is not None:
                card, outcome = found
                self._change(card, now, state=outcome, answered_by="voice", answer=utterance.id)

    def _end(self, ident: str, now: int) -> None:
        """The stay is over: what nobody answered stays unanswered."""
        self._live.pop(ident, None)
        self._minutes.pop(ident, None)
        self._look_at.pop(ident, None)
        for card in self._store.prompts(ident):
            self._played.pop(card.id, None)
            if card.state in ("waiting", "shown"):
                self._change(card, now, state="unanswered")

    def _change(self, card: PromptCard, now: int, **values: object) -> None:
        changed = msgspec.structs.replace(card, settled_ns=now, **values)
        if not self._store.change_prompt(changed, card.state):
            return
        audit.record(self._store, "tracer", f"prompt-{changed.state}", card.stay, card.gap)
        if card.bay == "sent" and (device := self._device(card.stay)):
            self._send(device, PromptWithdrawn(id=card.id))

    # -- to page and bay

    def _give(self, stay: Stay, now: int) -> None:
        config, cards = self._config_of(stay), self._store.prompts(stay.id)
        device = self._device(stay.id) if config.bay != "off" else ""
        for card in release(cards, now, config):
            shown = msgspec.structs.replace(card, state="shown", shown_ns=now)
            if not config.page:
                if not (device and self._sound(device, card, now, config)):
                    continue
                shown = msgspec.structs.replace(shown, bay="sent")
            if self._store.change_prompt(shown, "waiting"):
                audit.record(self._store, "prompter", "prompt-shown", stay.id, card.gap)
        if device and config.page:
            self._sound_shown(stay.id, device, now, config)
        after = next_look(self._store.prompts(stay.id), now, config)
        self._look_at.pop(stay.id, None)
        if after is not None:
            self._look_at[stay.id] = max(after, now + int(_LOOK_S * 1e9))

    def _sound_shown(self, stay: str, device: str, now: int, config: PromptsConfig) -> None:
        """What stands on the page sounds too: from the relay that has the unit."""
        for card in self._store.prompts(stay):
            recent = (card.shown_ns or 0) > now - config.bay_expires_s * 1e9
            if card.state != "shown" or card.bay or not recent:
                continue
            if self._sound(device, card, now, config):
                self._store.change_prompt(msgspec.structs.replace(card, bay="sent"), "shown")

    def _sound(self, device: str, card: PromptCard, now: int, config: PromptsConfig) -> bool:
        speech = None
        if config.bay == "speech":
            try:
                speech = speak(card.text, config.voice)
            except BayscribeError as error:
                log.error("a chime alone: %s", error.line())  # noqa: TRY400 - one line
        expires = now + int(config.bay_expires_s * 1e9)
        return self._send(
            device, Prompt(id=card.id, text=card.text, speech=speech, expires_wall_ns=expires)
        )

    def _note(self, outcome: PromptOutcome) -> None:
        card = self._store.prompt(outcome.id)
        if card is None:
            log.warning("outcome of a prompt that is not known here")
            return
        if outcome.outcome == "played":
            self._played[card.id] = outcome.wall_ns
        self._store.change_prompt(msgspec.structs.replace(card, bay=outcome.outcome), card.state)
        audit.record(self._store, "bay", f"prompt-{outcome.outcome}", card.stay, card.gap)

    def _device(self, stay: str) -> str:
        """The unit that records the stay now, or empty."""
        open_ones = [b for b in self._store.bindings(stay=stay) if b.until_ns is None]
        return open_ones[-1].device if open_ones else ""

    def _config_of(self, stay: Stay) -> PromptsConfig:
        return self._config.of(stay.clinician.npi) if stay.clinician else self._config
