"""What a clinician does on a stay's page: every one a plain form, audited, then the page again."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.web.editing import (
    Change,
    accepted,
    add_sentence,
    change_sentence,
    modified,
    rejected,
)
from bayscribe_relay.web.people import Person
from bayscribe_relay.web.site import Site, allowed, session_of, site_of
from bayscribe_relay.web.stay import stay_of

ANSWER_MAX: Final = 400
SPEAKER_MAX: Final = 64


async def _asked(request: web.Request) -> tuple[Site, Person, Stay, Callable[[str], str]]:
    """Site, person, stay, and a reader of the form's fields."""
    form = await request.post()

    def field(name: str) -> str:
        return " ".join(str(form.get(name, "")).split())

    return site_of(request), session_of(request).person, stay_of(request), field


def _back(request: web.Request, stay: Stay, part: str) -> web.StreamResponse:
    """The page again, at the part that was worked on; a script needs nothing but a yes."""
    if request.headers.get("X-Requested-With") == "bayscribe":
        return web.Response(status=204)
    raise web.HTTPSeeOther(f"/stays/{stay.id}#{part}")


@allowed("clinician")
async def prompt(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/prompt``: answer or dismiss."""
    site, person, stay, field = await _asked(request)
    await asyncio.to_thread(_settle, site, person, stay, field)
    return _back(request, stay, "prompts")


def _settle(site: Site, person: Person, stay: Stay, field: Callable[[str], str]) -> None:
    clinical, outcome = site.parts.clinical, field("outcome")
    card = clinical.prompt(field("prompt"))
    if card is None or card.stay != stay.id:
        raise BadUse("there is no such prompt in this stay", code="prompt")
    if outcome not in ("answered", "dismissed"):
        raise BadUse("a prompt is answered or dismissed", code="prompt")
    changed: dict[str, Any] = {
        "state": outcome,
        "answered_by": "click",
        "answer": field("answer")[:ANSWER_MAX],
        "settled_ns": time.time_ns(),
    }
    if card.state not in ("waiting", "shown") or not clinical.change_prompt(
        replace(card, **changed), card.state
    ):
        raise BadUse("this prompt is settled already", "look at what became of it", code="prompt")
    _audit(site, person, f"prompt-{outcome}", stay, card.gap)


@allowed("clinician")
async def sentence(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/sentence``: accept, modify or reject one."""
    site, person, stay, field = await _asked(request)
    act, ident = field("act"), field("sentence")
    try:
        seen = int(field("revision"))
    except ValueError:
        raise web.HTTPBadRequest(text="Load the page again.") from None
    change: Change
    if act == "accept":
        change = accepted
    elif act == "reject":
        change = rejected
    elif act == "modify":
        change = modified(field("text"))
    else:
        raise web.HTTPBadRequest(text="A sentence is accepted, modified or rejected.")
    await asyncio.to_thread(change_sentence, site.parts.clinical, stay.id, seen, ident, change)
    await site.audit(person.actor, f"sentence-{act}", stay.id, ident)
    return _back(request, stay, "draft")


@allowed("clinician")
async def add(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/add``: the clinician's own sentence."""
    site, person, stay, field = await _asked(request)
    await asyncio.to_thread(
        add_sentence, site.parts.clinical, stay.id, field("section"), field("text")
    )
    await site.audit(person.actor, "sentence-add", stay.id, field("section"))
    return _back(request, stay, "draft")


@allowed("clinician")
async def speaker(request: web.Request) -> web.StreamResponse:
    """``POST /stays/STAY/speaker``: give a turn, or all of a label, to another speaker."""
    site, person, stay, field = await _asked(request)
    await asyncio.to_thread(_reattribute, site, person, stay, field)
    return _back(request, stay, "transcript")


def _reattribute(site: Site, person: Person, stay: Stay, field: Callable[[str], str]) -> None:
    clinical, label = site.parts.clinical, field("speaker")
    turn = clinical.utterance(field("utterance"))
    if turn is None or turn.stay != stay.id or turn.withdrawn:
        raise BadUse("there is no such turn in this stay", "look at the new ones", code="turn")
    if not label or len(label) > SPEAKER_MAX:
        raise BadUse("this cannot be a speaker", "choose one of those shown", code="speaker")
    primary = stay.clinician is not None and label == stay.clinician.label
    turns = [turn]
    if field("all") == "yes":
        spoken = clinical.utterances(stay=stay.id)
        turns = [u for u in spoken if u.speaker == turn.speaker and not u.withdrawn]
    for one in turns:
        clinical.put_utterance(replace(one, speaker=label, primary=primary, reattributed=True))
    _audit(site, person, "reattributed", stay, f"{len(turns)} turns from {turn.id}")


def _audit(site: Site, person: Person, action: str, stay: Stay, detail: str) -> None:
    audit.record(site.parts.clinical, person.actor, action, stay.id, detail)


_STAY: Final = r"/stays/{stay:[0-9a-f]{32}}"
ROUTES: Final = [
    web.post(f"{_STAY}/prompt", prompt),
    web.post(f"{_STAY}/sentence", sentence),
    web.post(f"{_STAY}/add", add),
    web.post(f"{_STAY}/speaker", speaker),
]
