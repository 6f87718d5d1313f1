"""The report of codes that no table knows: codes and counts, never a value."""

from typing import NamedTuple

import sqlalchemy as sa

from bayscribe_relay.emr_feed import tables
from bayscribe_relay.emr_feed.codebook import Codebook, Coding


class UnmappedCode(NamedTuple):
    """One code as received.

    Attributes:
        context: where it stood: order, result, medication, reason ...
        system: code system as received.
        code: as received, or its text where there was no code.
        display: its name as received.
        times: how often since the table of counts began.
        by_name: the concept that its name was taken for; empty if for none.
    """

    context: str
    system: str
    code: str
    display: str
    times: int
    by_name: str


def unmapped_codes(
    engine: sa.Engine, site: str, codebook: Codebook | None = None
) -> list[UnmappedCode]:
    """A site's unmapped codes, most frequent first.

    Args:
        engine: the relay's database.
        site: whose.
        codebook: leave out what it knows by now.
    """
    t = tables.unmapped
    query = sa.select(t).where(t.c.site == site).order_by(t.c.times.desc(), t.c.system, t.c.code)
    with engine.connect() as link:
        found = [
            UnmappedCode(r.context, r.system, r.code, r.display, r.times, r.by_name)
            for r in link.execute(query)
        ]
    if codebook is None:
        return found
    return [
        one
        for one in found
        if not codebook.find(one.context, [Coding(one.system, one.code, one.display)]).known  # type: ignore[arg-type]  # written from a Context
    ]
