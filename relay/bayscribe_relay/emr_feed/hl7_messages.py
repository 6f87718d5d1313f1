"""From a message's bytes to what it says: one function an event type of MSH-9."""

from bayscribe_relay.emr_feed.hl7_administrations import ras
from bayscribe_relay.emr_feed.hl7_adt import adt
from bayscribe_relay.emr_feed.hl7_documents import mdm
from bayscribe_relay.emr_feed.hl7_orders import orders
from bayscribe_relay.emr_feed.hl7_reading import Reading, Site
from bayscribe_relay.emr_feed.hl7_results import oru
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation
from bayscribe_relay.hl7.charset import UnknownCharset
from bayscribe_relay.hl7.er7 import Malformed

ORDERS = ("ORM", "OMG", "OML", "OMP", "OMI", "OMD", "RDE", "ORD", "OMB")


def interpret(data: bytes, n: int, received_ns: int, site: Site) -> Interpretation:
    """What a message says, without looking at anything but it and the site's settings.

    Raises:
        CannotApply: it cannot be read, or names no patient.
    """
    try:
        reading = Reading(data, n, received_ns, site)
    except (Malformed, UnknownCharset) as error:
        raise CannotApply(f"unreadable: {type(error).__name__}") from None
    kind, event = reading.message.header.get(9, 1).upper(), reading.message.header.get(9, 2).upper()
    if kind == "ADT":
        adt(reading, event)
    elif kind == "ORU":
        oru(reading)
    elif kind in ORDERS:
        orders(reading)
    elif kind == "RAS":
        ras(reading)
    elif kind == "MDM":
        mdm(reading, event)
    else:
        reading.result.ignored = "message-type: nothing follows from this type here"
    return reading.result
