"""The commissioning on a terminal."""

import shutil
from collections.abc import Callable
from typing import TextIO

from bayscribe.commission.engine import Step
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.commission.session import Session
from bayscribe.errors import BayscribeError

Ask = Callable[[str], str]
_WIDTH = 30


def run(session: Session, out: TextIO, ask: Ask = input) -> bool:
    """Go through all steps with a person; whether all passed or were left out with a reason.

    At each step: Enter starts it, ``s`` leaves it out, ``q`` ends; so does the end of input.
    Ctrl-C stops a step that listens, and no more than that; at a question it ends the command.
    """
    try:
        return _through(session, out, ask)
    except EOFError:
        print("\nThe input ended: commissioning is not done.", file=out)
        return False


def _through(session: Session, out: TextIO, ask: Ask) -> bool:
    while (step_id := session.current) is not None:
        step = session.engine.step(step_id)
        _show(step, out)
        said = ask("Enter to start" + (", s to skip" if step.may_skip else "") + ", q to end: ")
        if said.strip().lower() == "q":
            return False
        try:
            if said.strip().lower() == "s":
                session.skip(step_id, ask("Why is it left out? "))
                continue
            answers = {field.name: _asked(field.label, field.default, ask) for field in step.fields}
            outcome = session.start(step_id, answers) or _follow(session, step_id, out)
        except BayscribeError as error:
            print(f"  {error}", file=out)
            continue
        if outcome is None:
            print("\n   stopped: what has passed stays; this step may be started again", file=out)
        else:
            _verdict(outcome, out)
    print("All steps are done: the unit may go live.", file=out)
    return True


def _show(step: Step, out: TextIO) -> None:
    print(f"\n== {step.title}\n   {step.instruction}", file=out)


def _asked(label: str, default: str, ask: Ask) -> str:
    said = ask(f"{label}" + (f" [{default}]: " if default else ": ")).strip()
    return said or default


def _follow(session: Session, step_id: str, out: TextIO) -> Outcome | None:
    """The outcome; None if the person stopped the step before there was one."""
    try:
        while (outcome := session.wait(step_id, 0.5)) is None:
            live = session.live()
            if live is not None:
                print(f"\r   {_bar(live)}", end="", file=out, flush=True)
    except KeyboardInterrupt:
        session.cancel()
        return session.progress(step_id).outcome
    return outcome


def _bar(live: Live) -> str:
    done = round(_WIDTH * live.progress)
    levels = " ".join(f"{level:3.0f}" for level in live.levels_db_spl)
    where = " ".join(f"{azimuth:.0f}°" for azimuth, _ in live.bearings)
    columns = shutil.get_terminal_size((100, 24)).columns - 4
    line = f"[{'#' * done}{'.' * (_WIDTH - done)}] {live.note}  {levels} {where}"
    return line[:columns].ljust(min(columns, 96))


def _verdict(outcome: Outcome, out: TextIO) -> None:
    print(f"\n   {'passed' if outcome.passed else 'FAILED'}: {outcome.words}", file=out)
    if outcome.advice:
        print(f"   -> {outcome.advice}", file=out)
