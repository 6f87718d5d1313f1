"""Prompt texts: the catalogue's templates with what the record says."""

import re

from bayscribe_relay.tracer.catalogue import Gap
from bayscribe_relay.tracer.figures import FIGURES
from bayscribe_relay.tracer.record import Record


def prompt_text(gap: Gap, record: Record, due: int | None) -> str:
    """The recommendation as shown and spoken."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: _word(found[1], record, due), gap.template)


def _word(name: str, record: Record, due: int | None) -> str:
    if name in FIGURES:
        value = FIGURES[name].compute(record)
        return "not known" if value is None else f"{value:.4g}"
    if name == "deadline_time" and due is not None:
        return f"minute {due}"
    return "not known"
