"""SMART Backend Services and what the EMR says of itself."""

import base64
import json
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from bayscribe_relay.pki import files as pki_files
from bayscribe_relay.pki.authority import Authority
from emr.capability import capability_statement, may_write
from emr.process import EmrProcess
from emr.settings import Settings
from emr.smart import ASSERTION_TYPE, TokenRefused, TokenService

AUDIENCE = "https://emr.example/token"
EC_KEY = ec.generate_private_key(ec.SECP384R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, length: int) -> str:
    return text(value.to_bytes(length, "big"))


def jwks() -> list[dict[str, str]]:
    point, modulus = EC_KEY.public_key().public_numbers(), RSA_KEY.public_key().public_numbers()
    curve = {"kty": "EC", "crv": "P-384", "x": number(point.x, 48), "y": number(point.y, 48)}
    plain = {"kty": "RSA", "n": number(modulus.n, 256), "e": number(modulus.e, 3)}
    return [{"kid": "ec", **curve}, {"kid": "rsa", **plain}]


def assertion(kid: str = "ec", **changes: str | int) -> str:
    claims = {
        "iss": "bayscribe",
        "sub": "bayscribe",
        "aud": AUDIENCE,
        "exp": int(time.time()) + 240,
        "jti": str(uuid.uuid4()),
        **changes,
    }
    header = {"alg": "ES384" if kid == "ec" else "RS384", "kid": kid, "typ": "JWT"}
    signed = f"{text(json.dumps(header).encode())}.{text(json.dumps(claims).encode())}"
    if kid == "ec":
        r, s = decode_dss_signature(EC_KEY.sign(signed.encode(), ec.ECDSA(hashes.SHA384())))
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
    else:
        signature = RSA_KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA384())
    return f"{signed}.{text(signature)}"


def form(client_assertion: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": client_assertion,
    }


@pytest.fixture
def service() -> TokenService:
    return TokenService(Settings(auth="smart", smart_jwks=jwks(), scopes="system/*.cruds"))


@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_a_signed_assertion_gets_a_token_with_the_granted_scopes(
    service: TokenService, kid: str
) -> None:
    granted = service.grant(form(assertion(kid)), AUDIENCE)
    assert service.scopes(granted["access_token"]) == "system/*.cruds"
    service.revoke_all()
    assert service.scopes(granted["access_token"]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example/token"},
        {"exp": 1},
        {"exp": int(time.time()) + 3600},
        {"iss": "somebody"},
        {"jti": ""},
    ],
)
def test_a_wrong_claim_is_refused(service: TokenService, changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        service.grant(form(assertion(**changes)), AUDIENCE)


def test_an_assertion_is_good_once_and_only_unaltered(service: TokenService) -> None:
    used = assertion()
    service.grant(form(used), AUDIENCE)
    with pytest.raises(TokenRefused, match="jti"):
        service.grant(form(used), AUDIENCE)
    head, payload, signature = assertion().split(".")
    other = assertion().split(".")[1]
    assert payload != other
    with pytest.raises(TokenRefused, match="signature"):
        service.grant(form(f"{head}.{other}.{signature}"), AUDIENCE)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ("system/*.read", False),
        ("system/*.rs", False),
        ("system/*.read system/DocumentReference.write", True),
        ("system/*.cruds", True),
        ("system/Binary.c", True),
        ("system/*.*", True),
        ("", False),
    ],
)
def test_write_scopes_in_both_syntaxes(scopes: str, allowed: bool) -> None:
    assert may_write(Settings(auth="smart"), scopes) is allowed


def test_the_capability_statement_tells_whether_writing_is_possible() -> None:
    for write in (True, False):
        statement = capability_statement(Settings(fhir_write=write), 0.0, "http://emr/fhir")
        rest = statement["rest"][0]
        codes = {entry["code"] for entry in rest["resource"][0]["interaction"]}
        assert ("create" in codes) is write
        assert ("interaction" in rest) is write


def test_over_http_nothing_is_served_without_a_token(tmp_path: Path) -> None:
    with EmrProcess(tmp_path, {"auth": "smart", "smart_jwks": jwks()}) as emr:
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            emr.get("Patient")
        refused.value.close()
        endpoint = emr.get(".well-known/smart-configuration")["token_endpoint"]
        body = urllib.parse.urlencode(form(assertion(aud=endpoint))).encode()
        with urllib.request.urlopen(endpoint, body, timeout=60) as answer:
            token = json.load(answer)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{emr.fhir}/Patient", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["total"] == 0


def test_with_mutual_tls_both_sides_ask_for_a_certificate(tmp_path: Path) -> None:
    authority = Authority.create("Hospital CA")
    for name, issued in (
        ("server", authority.server("emr", ["127.0.0.1"])),
        ("client", authority.relay_client("gateway")),
    ):
        assert issued.key is not None
        (tmp_path / f"{name}.pem").write_bytes(issued.pem())
        (tmp_path / f"{name}.key").write_bytes(pki_files.key_pem(issued.key))
    (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    paths = {"--tls-cert": "server.pem", "--tls-key": "server.key", "--client-ca": "ca.pem"}
    arguments = tuple(part for n, f in paths.items() for part in (n, str(tmp_path / f)))
    with EmrProcess(tmp_path / "emr", arguments=arguments, tls=context) as emr:
        assert emr.get("Patient")["total"] == 0
        assert b"MSA|AR" in _said_over_tls(emr.mllp_port, context)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _said_over_tls(emr.mllp_port, stranger)


def _said_over_tls(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as link,
    ):
        link.sendall(b"\x0bnonsense\x1c\r")
        if not (answer := link.recv(4096)):
            raise ConnectionError
        return answer
