"""The same checks without a daemon: opens the array itself, listens, and looks around."""

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bayscribe import __version__
from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.errors import AudioFormatError, CaptureError, ConfigError
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.health.collect import board, disk, identity, mixer, models
from bayscribe.health.collect.clock import ClockCollector
from bayscribe.health.config import HealthConfig
from bayscribe.health.service import Places
from bayscribe.health.snapshot import ArrayView, ChannelFault, LinkView, Snapshot
from bayscribe.stream import Block, Gap
from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.tls import client_context

LISTEN_S = 5.0
"""Seconds of sound; every fault of a channel shows within them."""

PATIENCE_S = 3.0
"""Seconds without any sound after which listening is given up."""

_READ_S = 0.1
_FIRST_PERIOD_S = 0.25
"""Until the first frames must come."""

Sound = Block | Gap


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to reach: ``host:port``, and the TLS that it is met with."""

    host: str
    port: int
    name: str
    context: Callable[[], ssl.SSLContext]
    timeout_s: float


def listen(source: CaptureSource, seconds: float = LISTEN_S) -> ArrayView:
    """Open the array, listen for so many seconds of sound, and close it.

    Args:
        source: not yet started.
        seconds: of sound, by the array's own clock.
    """
    try:
        source.probe()
    except AudioFormatError as error:
        return ArrayView(present=False, problem=str(error), format_refused=True)
    except CaptureError as error:
        return ArrayView(present=False, problem=str(error))
    check, watch = ChannelCheck(source.profile.geometry), ArrayWatch(source.profile)
    drift: float | None = None
    source.start()
    try:
        heard, last = 0, time.monotonic()
        while heard < seconds * source.profile.sample_rate:
            for item in source.read(_READ_S):
                if isinstance(item, Block):
                    heard, last = heard + len(item.pcm), time.monotonic()
                    check.push(item)
                    watch.push(item)
                    drift = watch.drift_ppm if watch.drift_ppm is not None else drift
                elif isinstance(item, Gap):
                    heard += item.samples
                    watch.gap(item)
            if time.monotonic() - last > PATIENCE_S:
                break
        present, silent = source.is_plugged, time.monotonic() - last
        problem = source.problem
    finally:
        source.stop()
    counters = source.counters
    return replace(
        watch.figures(),
        present=present,
        problem="" if problem is None else str(problem),
        silent_for_s=round(silent, 1) if silent > _FIRST_PERIOD_S else 0.0,
        faults=tuple(ChannelFault(code, mic) for code, mic in check.faults),
        drift_ppm=drift if drift is not None else source.drift_ppm,
        overruns=counters.overruns,
        gap_frames=counters.gap_frames,
        short_reads=counters.short_reads,
        misaligned=counters.misaligned,
        reopened=max(0, counters.opens - 1),
        real_time=None,
    )


def reach(peer: Peer) -> LinkView:
    """Whether a server answers with TLS 1.3 and a certificate that is trusted."""
    try:
        context = peer.context()
        with (
            socket.create_connection((peer.host, peer.port), peer.timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=peer.name) as secured,
        ):
            return LinkView(up=secured.version() is not None)
    except ConfigError as error:
        return LinkView(up=False, problem=str(error))
    except ssl.SSLError as error:
        return LinkView(up=False, problem=f"{peer.host}: TLS: {error.reason or error}")
    except OSError as error:
        return LinkView(up=False, problem=f"{peer.host}: {error.strerror or error}")


def relay_peer(config: UplinkConfig) -> Peer:
    """The relay that a unit is configured for."""
    place = urlsplit(config.url)
    host = place.hostname or ""
    return Peer(
        host,
        place.port or 443,
        config.server_name or host,
        lambda: client_context(config),
        config.connect_s,
    )


def look_around(
    profile: ArrayProfile,
    places: Places,
    config: HealthConfig,
    array: ArrayView | None,
    links: dict[str, LinkView],
) -> Snapshot:
    """Everything but the array's sound, now."""
    view = disk.look(
        places.state,
        least_free_mib=places.reserve_mib,
        written_per_day=None,
        budget_gib=config.write_budget_gib_per_day,
    )
    writable = disk.can_be_written(places.state)
    if view.free_mib is None and writable:
        view = disk.look(
            places.state,
            least_free_mib=places.reserve_mib,
            written_per_day=None,
            budget_gib=config.write_budget_gib_per_day,
        )
    moved = mixer.moved(profile.board)
    return Snapshot(
        array=None if array is None else replace(array, mixer=moved),
        clock=ClockCollector(required=config.require_synchronised_clock).look(),
        disk=replace(view, writable=writable),
        board=board.look(),
        relay=links.get("relay"),
        broker=links.get("broker"),
        identity=identity.look(places.certificate, places.key),
        models=models.look(),
        versions={"bayscribe": __version__, "array": profile.name},
    )
