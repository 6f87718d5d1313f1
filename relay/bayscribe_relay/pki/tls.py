"""The TLS rules of the relay's listeners: TLS 1.3, a client certificate, always.

Python's ``ssl`` says why a client's certificate was refused but not whose it was. The
context made here reads the subject out of the client's Certificate message (RFC 8446,
4.4.2) before it is verified, so that the log can say who *claimed* to be there.
"""

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from bayscribe.errors import BadUse, LinkError
from bayscribe.wire.identity import device_name
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import revoked_serials

_CERTIFICATE_MESSAGE = 11
_HANDSHAKE_RECORD = 22


SendAlert = Callable[[bytes], object]
ALERTS_TO: ContextVar[SendAlert | None] = ContextVar("ALERTS_TO", default=None)
"""Set by a listener around a handshake: where the alert of a failed one is written.

asyncio (to 3.13 at least) drops the alert together with the connection, and the unit
would never learn that it is its certificate which is refused."""


class WatchedTls(ssl.SSLObject):
    """The server's side of one TLS connection, which remembers who claimed to call."""

    claimed: str = "nobody"
    outgoing: ssl.MemoryBIO
    send_alert: SendAlert | None = None

    def do_handshake(self) -> None:
        """As the base class; a failure carries the claimed name and tells the other side."""
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
                error.add_note(self.claimed)
                if self.send_alert is not None and (alert := self.outgoing.read()):
                    self.send_alert(alert)
            raise


class WatchedContext(ssl.SSLContext):
    """A context whose connections are :class:`WatchedTls`."""

    sslobject_class = WatchedTls

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the base class; keeps what an alert needs."""
        tls = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(tls, WatchedTls):
            tls.outgoing, tls.send_alert = outgoing, ALERTS_TO.get()
        return tls


def claimed_by(error: BaseException) -> str:
    """Who the certificate of a failed handshake claimed to be; unverified."""
    notes = getattr(error, "__notes__", [])
    return str(notes[0]) if notes else "nobody"


def server_context(
    certificate: Path, key: Path, client_ca: Path, crl: Path | None
) -> ssl.SSLContext:
    """The context of a listener that admits only clients certified by ``client_ca``.

    No session tickets: a resumed session would skip the certificate, and with it
    revocation.

    Raises:
        BadUse: a file is missing or not what it should be.
    """
    context = WatchedContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.num_tickets = 0
    for path in (certificate, key, client_ca, *((crl,) if crl else ())):
        files.read(path)
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(client_ca)
        if crl is not None:
            context.load_verify_locations(crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except ssl.SSLError as error:
        raise BadUse(
            f"TLS files under {certificate.parent} do not fit together: {error.reason or error}",
            "make them with `bayscribe-relay pki`",
            code="tls",
        ) from None
    _listen_for_certificates(context)
    return context


def _listen_for_certificates(context: ssl.SSLContext) -> None:
    def on_message(
        connection: Any,  # noqa: ANN401 - SSLObject or SSLSocket
        direction: str,
        _version: object,
        content: int,
        kind: int,
        data: bytes,
    ) -> None:
        if direction == "read" and content == _HANDSHAKE_RECORD and kind == _CERTIFICATE_MESSAGE:
            connection.claimed = claimed_name(data)

    # The hook is private in CPython (3.8 to 3.14 have it); without it only the name is lost.
    if hasattr(context, "_msg_callback"):
        vars_of: Any = context
        vars_of._msg_callback = on_message  # noqa: SLF001 - see above


def claimed_name(message: bytes) -> str:
    """Who a TLS 1.3 Certificate message claims to come from: device name or subject.

    Layout: type 1, length 3, context length 1, context, list length 3, then per
    certificate length 3 and DER.
    """
    try:
        at = 5 + message[4] + 3
        size = int.from_bytes(message[at : at + 3], "big")
        certificate = x509.load_der_x509_certificate(message[at + 3 : at + 3 + size])
        try:
            return device_name(certificate)
        except LinkError:
            return ascii(certificate.subject.rfc4514_string())[1:-1][:100] or "no name"
    except (ValueError, IndexError):
        return "nobody"


class Revocations:
    """The revocation list in force, read again whenever its file changes.

    TLS checks it in the handshake; this is for connections that were admitted before.
    """

    def __init__(self, crl: Path | None, context: ssl.SSLContext) -> None:
        self._path = crl
        self._context = context
        self._stamp: tuple[int, int] | None = None
        self._serials: frozenset[int] = frozenset()
        self.refresh()

    def refresh(self) -> bool:
        """Read the list if its file has changed.

        Returns:
            whether it has.

        Raises:
            BadUse: the file is not a revocation list; the old one stays in force.
        """
        if self._path is None:
            return False
        try:
            status = self._path.stat()
        except OSError as error:
            raise BadUse(f"{self._path}: {error.strerror}", code="crl") from None
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp == self._stamp:
            return False
        self._serials = frozenset(revoked_serials(files.read(self._path)))
        self._context.load_verify_locations(self._path)
        self._stamp = stamp
        return True

    def still_good(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate that was good in its handshake is so now."""
        now = datetime.now(UTC)
        return (
            certificate.serial_number not in self._serials
            and certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        )

    def revoked(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is on the list."""
        return certificate.serial_number in self._serials
