"""One composition of a stay's draft, from the store and into it."""

import time
from datetime import UTC, tzinfo
from typing import Final

from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.notes.compose import Style, compose, merge
from bayscribe_relay.notes.config import NotesConfig
from bayscribe_relay.notes.model.joining import Answered, Material, join

_TRIES: Final = 8


def recompose(
    store: ClinicalStore,
    stay_id: str,
    config: NotesConfig,
    zone: tzinfo = UTC,
    answered: Answered | None = None,
) -> Draft | None:
    """Compose a stay's draft and store it as the next revision if anything in it changed.

    Args:
        store: the clinical tables.
        stay_id: whose.
        config: the site's wishes.
        zone: in which times of day are written.
        answered: what came of asking the language model, if it was asked.

    Returns:
        the draft in force; None without a stay, or with nothing heard and no draft before.
    """
    for _ in range(_TRIES):
        stay, old = store.stay(stay_id), store.draft(stay_id)
        if stay is None or (old is not None and old.signed_key):
            return old
        style = Style(zone=zone, doubtful_below=config.doubtful_below)
        spoken, events = store.utterances(stay=stay_id), store.events(stay_id)
        try:
            new = compose(stay, events, spoken, store.prompts(stay_id), config.type, style)
        except BadUse as error:
            if error.code != "no-audio" or old is None:
                return old
            # What it was made of has been given to another patient: nothing of it may stay.
            new = replace(old, sections=tuple(replace(s, sentences=()) for s in old.sections))
        material = Material.of(events, spoken, zone, config.doubtful_below)
        merged = merge(old, join(new, old, answered, material))
        if old is not None and merged == replace(
            old, revision=merged.revision, composed_ns=merged.composed_ns
        ):
            return old
        try:
            store.put_draft(replace(merged, composed_ns=time.time_ns()))
        except BadUse as error:
            if error.code != "revision":
                raise
            continue
        return merged
    return store.draft(stay_id)
