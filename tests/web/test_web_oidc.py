"""Login by the hospital's OpenID provider, a small one of its own; and what is not believed."""

import asyncio
import base64
import contextlib
import hashlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from bayscribe_relay.web.config import OidcConfig
from web import demo_stay
from web.web_client import Browser, actions
from web.web_rig import Rig


class Provider:
    """Issues codes and tokens; ``twist`` changes the claims, ``sign_with`` the key."""

    def __init__(self, folder: Path) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"})
        self.sign_with: Any = self.key
        self.header = {"alg": "ES256", "kid": "one"}
        self.twist: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.url = ""
        authority = Authority.create("Hospital login")
        leaf = authority.server("localhost", ["127.0.0.1"])
        assert leaf.key is not None
        self.ca = folder / "login-ca.pem"
        files.write_new(self.ca, Issued(authority.certificate, None).pem(), 0o644)
        files.write_new(folder / "login.pem", Issued(leaf.certificate, None).pem(), 0o644)
        files.write_new(folder / "login.key", files.key_pem(leaf.key), 0o600)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "login.pem", folder / "login.key")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/keys", self._keys),
                web.post("/token", self._token),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.url = f"https://localhost:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    def authorize(self, location: str) -> str:
        """What the provider does with the browser: remembers what was asked; the answer's query."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"code={code}&state={asked['state']}"

    async def _discovery(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = base64.b64encode(b"bayscribe:s3cret").decode()
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or request.headers.get("Authorization") != f"Basic {basic}"
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": "u-77", "aud": "bayscribe", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], "roles": ["staff", "ed-physicians"], "npi": demo_stay.NPI,
            "given_name": "Adaeze", "family_name": "Okafor", "voice_label": "clinician",
        } | self.twist  # fmt: skip
        token = jwt.encode(
            self.header, {k: v for k, v in claims.items() if v is not None}, self.sign_with
        )
        return web.json_response({"id_token": token, "token_type": "Bearer", "access_token": "x"})


@contextlib.asynccontextmanager
async def hospital(folder: Path) -> AsyncIterator[tuple[Browser, Rig, Provider]]:
    provider = Provider(folder)
    secret = folder / "oidc.secret"
    secret.write_text("s3cret\n")
    async with provider.running():
        config = OidcConfig(
            issuer=provider.url,
            client_id="bayscribe",
            client_secret_file=str(secret),
            roles={"ed-physicians": "clinician", "biomed": "operator"},
            ca=str(provider.ca),
        )
        async with Rig.running(folder, time.time_ns(), audio=False, oidc=config) as rig:
            browser = Browser(rig)
            try:
                yield browser, rig, provider
            finally:
                await browser.client.close()
                await asyncio.sleep(0)


async def come_in(browser: Browser, provider: Provider) -> str:
    await browser.get("/oidc/login")
    assert browser.status == 303
    query = provider.authorize(browser.headers["Location"])
    return await browser.get(f"/oidc/callback?{query}")


def test_the_hospitals_account_opens_the_pages(tmp_path: Path) -> None:
    async def run() -> None:
        async with hospital(tmp_path) as (browser, rig, provider):
            assert "Continue with your hospital account" in await browser.get("/login")
            page = await come_in(browser, provider)
            # Not a redirection: a SameSite=Strict cookie would not go along with one.
            assert browser.status == 200
            assert 'http-equiv="refresh"' in page
            page = await browser.get(f"/stays/{demo_stay.STAY}")
            assert "Adaeze Okafor" in page
            assert "Sign &amp; Close" in page
            assert ("user:u-77", "login") in actions(rig)

    asyncio.run(run())


def test_what_a_provider_did_not_say_to_this_browser_is_not_believed(tmp_path: Path) -> None:
    octet = OctKey.import_key("s3cret-shared-with-everybody-else")
    stranger = ECKey.generate_key("P-256", {"kid": "one"})
    now = int(time.time())
    lies: list[tuple[str, dict[str, Any]]] = [
        ("another's token", {"twist": {"aud": "somebody-else"}}),
        ("several audiences, not ours to use", {"twist": {"aud": ["bayscribe", "x"], "azp": "x"}}),
        ("another issuer", {"twist": {"iss": "https://evil.example"}}),
        ("an old token", {"twist": {"exp": now - 3_600}}),
        ("a replayed token", {"twist": {"nonce": "yesterday's"}}),
        ("no nonce", {"twist": {"nonce": None}}),
        ("no subject", {"twist": {"sub": None}}),
        ("a key of nobody", {"sign_with": stranger}),
        ("a shared key", {"sign_with": octet, "header": {"alg": "HS256", "kid": "one"}}),
        ("no role here", {"twist": {"roles": ["cooks"]}}),
        ("no NPI", {"twist": {"npi": "1234567890"}}),
    ]

    async def run() -> None:
        async with hospital(tmp_path) as (browser, rig, provider):
            good = {"twist": {}, "sign_with": provider.key, "header": dict(provider.header)}
            for name, lie in lies:
                for field, value in (good | lie).items():
                    setattr(provider, field, value)
                await come_in(browser, provider)
                assert browser.status in (400, 500), name
                await browser.get("/board")
                assert browser.headers["Location"].startswith("/login"), name
            assert [a for a in actions(rig) if a[1] == "login"] == []

    asyncio.run(run())


@pytest.mark.parametrize("forged", ["state", "browser", "code", "issuer"])
def test_an_answer_that_was_not_asked_for_opens_nothing(tmp_path: Path, forged: str) -> None:
    async def run() -> None:
        async with hospital(tmp_path) as (browser, rig, provider):
            await browser.get("/oidc/login")
            query = provider.authorize(browser.headers["Location"])
            victim = Browser(rig)
            answers = {
                "state": (browser, f"{query}x"),
                "browser": (victim, query),
                "code": (browser, query.replace("code-0", "code-9")),
                "issuer": (browser, f"{query}&iss=https://evil.example"),
            }
            who, said = answers[forged]
            await who.get(f"/oidc/callback?{said}")
            assert who.status in (400, 500)
            await who.get("/board")
            assert who.headers["Location"].startswith("/login")
            await victim.client.close()

    asyncio.run(run())
