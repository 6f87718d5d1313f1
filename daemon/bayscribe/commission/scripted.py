"""A commissioning that a program drives: answers from a file, events as JSON lines."""

import json
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec import Struct

from bayscribe.commission.outcome import Outcome
from bayscribe.commission.session import Session
from bayscribe.errors import BadUse, BayscribeError

LONGEST_STEP_S = 180.0


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """The file of answers.

    Attributes:
        steps: answers of each step, by its id.
        skip: reason for each step that is left out.
        retries: how often a step that failed is tried again.
    """

    steps: dict[str, dict[str, str | int | float]] = {}
    skip: dict[str, str] = {}
    retries: int = 0


def load(path: Path) -> Script:
    """Read a file of answers.

    Raises:
        BadUse: it is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except OSError as error:
        raise BadUse(f"{path} cannot be read: {error.strerror}", code="file") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadUse(f"{path}: {error}", "docs/commissioning.md shows one") from None


def run(session: Session, script: Script, out: TextIO) -> bool:
    """Go through all steps; whether every one passed or was left out as the script says."""

    def say(**event: Any) -> None:  # noqa: ANN401 - JSON has no narrower type
        print(json.dumps(event), file=out, flush=True)

    while (step_id := session.current) is not None:
        if step_id in script.skip:
            session.skip(step_id, script.skip[step_id])
            say(event="skipped", step=step_id)
            continue
        outcome = _attempt(session, step_id, script, say)
        say(
            event="verdict",
            step=step_id,
            passed=outcome.passed,
            words=outcome.words,
            figures=outcome.figures,
        )
        if not outcome.passed and session.progress(step_id).attempts > script.retries:
            say(event="ended", passed=False)
            return False
    say(event="ended", passed=True)
    return True


def _attempt(session: Session, step_id: str, script: Script, say: Any) -> Outcome:  # noqa: ANN401 - the closure above
    answers = {name: str(value) for name, value in script.steps.get(step_id, {}).items()}
    try:
        outcome = session.start(step_id, answers)
    except BayscribeError as error:
        return Outcome(False, str(error), advice=error.what_to_do)
    if outcome is not None:
        return outcome
    say(event="listening", step=step_id)
    found = session.wait(step_id, LONGEST_STEP_S)
    if found is None:
        session.cancel()
        return Outcome(False, f"no verdict within {LONGEST_STEP_S:.0f} s")
    return found
