"""The listener: certificates for tokens, bundles for certificates.

======================  ==============  ===================================================
``GET /v1/ca``          anyone          the authority's certificate, PEM. A unit believes it
                                        only if its SHA-256 is the one it was told by hand.
``POST /v1/enrol``      a token         ``{"token", "device", "csr"}`` to ``{"certificate",
                                        "ca", "seal_key"}``
``GET /v1/updates/F``   a certificate   a bundle, in ranges if asked
======================  ==============  ===================================================
"""

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from bayscribe.errors import BadUse, LinkError
from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import SealingKey
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority
from bayscribe_relay.pki.tls import Revocations, server_context
from bayscribe_relay.pki.tokens import TokenBook, TokenRefused
from bayscribe_relay.provision.attempts import Attempts
from bayscribe_relay.provision.config import ProvisionConfig

MOST_REQUEST_BYTES = 8_192
BUNDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\.raucb")

log = logging.getLogger("bayscribe.relay.provision")


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """What a new unit sends."""

    token: str
    device: str
    csr: str


class Granted(Struct, frozen=True):
    """What it gets: its certificate, the authority's, the relay's public sealing key."""

    certificate: str
    ca: str
    seal_key: str


def public_key(csr: str) -> ec.EllipticCurvePublicKey:
    """The key of a signing request; the names in it count for nothing.

    Raises:
        BadUse: it is no request for a P-256 key, signed by that key.
    """
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        public = request.public_key()
        signed = request.is_signature_valid
    except ValueError:
        raise BadUse("not a PEM signing request", code="csr") from None
    if not signed:
        raise BadUse("the request is not signed by its own key", code="csr")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise BadUse("the request is not for a P-256 key", code="csr")
    return public


class Enrolment:
    """Decides on requests; no sockets here.

    Args:
        folder: of the authority.
        seal_key: file of the relay's public sealing key.
        book: the tokens.

    Raises:
        BadUse: authority or sealing key cannot be read.
    """

    def __init__(self, folder: Path, seal_key: Path, book: TokenBook | None = None) -> None:
        self._folder = folder
        self._authority = Authority.load(folder)
        self._seal_key = files.read(seal_key).decode("ascii", "replace")
        SealingKey.from_text(self._seal_key)
        self._book = book or TokenBook(folder)

    @property
    def ca(self) -> str:
        """The authority's certificate, PEM."""
        return self._authority.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def grant(self, request: Request) -> Granted:
        """Certify the key of a request, and keep a copy for the day it must be revoked.

        Raises:
            BadUse: the request is none; the token stays unused.
            TokenRefused: the token certifies nobody.
        """
        public = public_key(request.csr)
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._book.redeem(request.token, request.device, der)
        issued = self._authority.device(request.device, public_key=public)
        kept = self._folder / "issued"
        kept.mkdir(exist_ok=True)
        name = f"{request.device}-{issued.certificate.serial_number:x}.pem"
        files.write_new(kept / name, issued.pem(), files.PUBLIC_MODE)
        return Granted(issued.pem().decode(), self.ca, self._seal_key)


class ProvisionServer:
    """The service as one object."""

    def __init__(self, config: ProvisionConfig) -> None:
        self._config = config
        folder = Path(config.authority)
        self._enrolment = Enrolment(folder, Path(config.seal_key))
        crl = folder / "crl.pem"
        self._context = server_context(
            Path(config.tls.certificate), Path(config.tls.key), folder / "ca.pem", crl
        )
        # A new unit has no certificate yet; who shows one must show a good one.
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._revocations = Revocations(crl, self._context)
        self._attempts = Attempts(config.attempts_per_minute)
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["ProvisionServer"]:
        """Listen inside the ``async with``."""
        app = web.Application(client_max_size=MOST_REQUEST_BYTES)
        app.router.add_get("/v1/ca", self._ca)
        app.router.add_post("/v1/enrol", self._enrol)
        app.router.add_get("/v1/updates/{name}", self._update)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=10.0)
        await runner.setup()
        listen = self._config.listen
        try:
            site = web.TCPSite(runner, listen.host, listen.port, ssl_context=self._context)
            await site.start()
            self.port = int(runner.addresses[0][1])
            log.info("listening on port %d", self.port)
            yield self
        finally:
            await runner.cleanup()

    async def _ca(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._enrolment.ca, content_type="application/x-pem-file")

    async def _enrol(self, request: web.Request) -> web.Response:
        address = request.remote or "unknown"
        wait = self._attempts.take(address)
        if wait:
            log.warning("too many requests to enrol from %s", address)
            return _refusal(429, "too many requests", {"Retry-After": f"{wait:.0f}"})
        try:
            asked = msgspec.json.decode(await request.read(), type=Request)
        except msgspec.MsgspecError:
            return _refusal(400, "not a request to enrol")
        name = ascii(asked.device)[1:-1][:64]
        try:
            granted = await asyncio.to_thread(self._enrolment.grant, asked)
        except TokenRefused as error:
            log.warning("refused %s at %s: %s", name, address, error)
            return _refusal(403, "the token is not valid; ask for a new one")
        except BadUse as error:
            log.warning("refused %s at %s: %s", name, address, error)
            return _refusal(400, str(error))
        log.info("enrolled %s at %s", name, address)
        return web.Response(body=msgspec.json.encode(granted), content_type="application/json")

    async def _update(self, request: web.Request) -> web.StreamResponse:
        try:
            device = self._caller(request)
        except LinkError as error:
            log.warning("no update for %s: %s", request.remote, error)
            return _refusal(403, "a device's certificate is needed")
        name = request.match_info["name"]
        if self._config.updates is None or not BUNDLE.fullmatch(name):
            return _refusal(404, "no such bundle")
        path = Path(self._config.updates) / name
        if path.is_symlink() or not path.is_file():
            return _refusal(404, "no such bundle")
        log.info("%s fetches %s", device, name)
        return web.FileResponse(path, chunk_size=1 << 18)

    def _caller(self, request: web.Request) -> str:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        if der is None:
            raise LinkError("no certificate", code="identity")
        certificate = x509.load_der_x509_certificate(der)
        self._revocations.refresh()
        if not self._revocations.still_good(certificate):
            raise LinkError("the certificate is revoked or expired", code="identity")
        return device_name(certificate)


def _refusal(status: int, why: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": why}, status=status, headers=headers)
