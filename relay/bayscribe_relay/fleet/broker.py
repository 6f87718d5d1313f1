"""The broker's configuration: mosquitto 2, TLS 1.3, one access list for all units.

A unit's certificate is its user name and its client id, so nobody can pose as another or
take over its session; it may write its own topics and read its own commands, and nothing
else. The fleet may read everything and write commands alone.
"""

from pathlib import Path

FLEET_USER = "fleet"
UNIT_WRITES = ("status", "health", "levels", "buffer", "alarm", "answer")


def configuration(
    port: int, tls: Path, server: str, acl: Path, *, host: str = "", crl: Path | None = None
) -> str:
    """``mosquitto.conf``.

    Args:
        port: to listen on.
        tls: folder with ``ca.pem``, ``SERVER.pem`` and ``SERVER.key``.
        server: name of the broker's certificate.
        acl: the access list's file.
        host: address to listen on; all of them by default.
        crl: revocations of the authority.
    """
    lines = [
        "per_listener_settings false",
        "allow_anonymous false",
        "persistence false",
        f"listener {port} {host}".rstrip(),
        f"cafile {tls / 'ca.pem'}",
        f"certfile {tls / server}.pem",
        f"keyfile {tls / server}.key",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {acl}",
        "message_size_limit 131072",
        "max_queued_messages 1000",
        "max_inflight_messages 20",
    ]
    if crl is not None:
        lines.append(f"crlfile {crl}")
    return "\n".join(lines) + "\n"


def access_list(fleet: str = FLEET_USER) -> str:
    """The access list for all units and the fleet."""
    units = [f"pattern write bayscribe/v1/+/+/%u/{channel}" for channel in UNIT_WRITES]
    return "\n".join(
        [
            *units,
            "pattern read bayscribe/v1/+/+/%u/command",
            "",
            f"user {fleet}",
            "topic read bayscribe/v1/#",
            "topic write bayscribe/v1/+/+/+/command",
            "",
        ]
    )
