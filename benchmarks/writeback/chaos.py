"""What happens to a run while it runs: programs are killed, other authors write."""

import contextlib
import json
import random
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from emr.process import EmrProcess


class Beside(ABC):
    """Something that goes on in a thread of its own beside a run; a context manager."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Go on until ``_stop`` is set."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()


class Killer(Beside):
    """Kills several programs in turn, in random order at random moments, with ``kill -9``.

    Args:
        victims: each kills and restarts one program.
        kills: how many in all.
        over_s: seconds over which they are spread.
        draw: source of chance.
    """

    def __init__(
        self,
        victims: Sequence[Callable[[], None]],
        kills: int,
        over_s: float,
        draw: random.Random,
    ) -> None:
        super().__init__()
        self.done = 0
        moments = sorted(draw.uniform(0, over_s) for _ in range(kills))
        order = [victims[place % len(victims)] for place in range(kills)]
        draw.shuffle(order)
        self._plan = list(zip(moments, order, strict=True))

    def _run(self) -> None:
        start = time.monotonic()
        for moment, kill in self._plan:
            if self._stop.wait(max(0.0, start + moment - time.monotonic())):
                return
            kill()
            self.done += 1


class OtherAuthors(Beside):
    """Adds other people's documents to the encounters' lists while the product does.

    Every entry that the EMR has acknowledged must still be there at the end.

    Args:
        emr: the EMR.
        encounters: how many encounters there are.
        every_s: mean seconds between two additions.
        draw: source of chance.
    """

    def __init__(
        self, emr: EmrProcess, encounters: int, every_s: float, draw: random.Random
    ) -> None:
        super().__init__()
        self.added = 0
        self._emr = emr
        self._encounters = encounters
        self._every_s = every_s
        self._draw = draw

    def _run(self) -> None:
        while not self._stop.wait(self._draw.expovariate(1.0 / self._every_s)):
            encounter = f"Encounter/enc-{self._draw.randrange(self._encounters)}"
            with contextlib.suppress(
                urllib.error.URLError, ConnectionError, TimeoutError, json.JSONDecodeError, OSError
            ):
                self._add(encounter)

    def _add(self, encounter: str) -> None:
        found = self._emr.get(f"List?encounter={encounter}")
        if not found.get("entry"):
            return
        body = found["entry"][0]["resource"]
        version, ident = body["meta"]["versionId"], body["id"]
        name = f"DocumentReference/other-{self.added}"
        body.setdefault("entry", []).append({"item": {"reference": name}})
        self._emr.put(f"List/{ident}", body, if_match=f'W/"{version}"')
        self.added += 1
