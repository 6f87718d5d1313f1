"""``bayscribe.commit.v1``: who may speak, and what becomes of nonsense."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bayscribe.errors import LinkError
from bayscribe_relay.gateway import config as gateway_config
from bayscribe_relay.gateway.server import CLOSE_MALFORMED, Gateway
from bayscribe_relay.writeback import protocol
from bayscribe_relay.writeback.protocol import (
    Accepted,
    Commit,
    Committed,
    Progress,
    Query,
    Rejected,
)
from writeback.rig import gateway_file, make_pki

KEY = "01890000-0000-7000-8000-000000000001"
SITE = 'mdm_host = "127.0.0.1"\nmdm_port = 1\nretries = 0'


@given(st.text() | st.binary())
def test_any_frame_is_understood_passed_over_or_refused(frame: str | bytes) -> None:
    for decode in (protocol.decode_to_gateway, protocol.decode_to_relay):
        try:
            found = decode(frame)
        except LinkError:
            continue
        assert found is None


@given(st.dictionaries(st.sampled_from(["type", "key", "site", "bundle"]), st.text(max_size=8)))
def test_any_object_is_passed_over_or_refused(message: dict[str, str]) -> None:
    known = {"commit", "query"}
    try:
        assert protocol.decode_to_gateway(json.dumps(message)) is None
        assert message.get("type") not in known
    except LinkError:
        pass


def test_messages_survive_the_wire() -> None:
    import msgspec

    raw = msgspec.Raw(b'{"kept":  "as it is"}')
    for out in (Commit(KEY, "demo", raw, "a" * 64, "2026-01-01T00:00:00Z"), Query(KEY)):
        assert protocol.decode_to_gateway(protocol.encode(out)) == out
    assert '{"kept":  "as it is"}' in protocol.encode(
        Commit(KEY, "demo", raw, "a" * 64, "2026-01-01T00:00:00Z")
    )
    for back in (
        Accepted(KEY),
        Progress(KEY, "parked", "why", 2),
        Committed(KEY, {"Binary": "Binary/1"}, 'W/"1"', "2026-01-01T00:00:00Z", "fhir"),
        Rejected(KEY, "why", retryable=True),
    ):
        assert protocol.decode_to_relay(protocol.encode(back)) == back
    assert protocol.decode_to_relay('{"type":"of-the-future","key":"x"}') is None


def client_tls(folder: Path, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if name is not None:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def link(folder: Path, port: int, name: str | None, speak: str = protocol.SUBPROTOCOL) -> Any:  # noqa: ANN401 - websockets' own connect object
    return connect(
        f"wss://127.0.0.1:{port}",
        ssl=client_tls(folder, name),
        subprotocols=[Subprotocol(speak)],
        open_timeout=60,
    )


def with_gateway(folder: Path, test: Any) -> None:  # noqa: ANN401 - a coroutine function
    async def run() -> None:
        make_pki(folder)
        config = gateway_config.load(gateway_file(folder, SITE))
        async with Gateway(config).running() as gateway:
            await test(gateway.port)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["device", "gateway", None])
def test_only_a_relay_may_speak(tmp_path: Path, name: str | None) -> None:
    async def test(port: int) -> None:
        with pytest.raises((websockets.WebSocketException, OSError)):
            async with link(tmp_path, port, name) as connection:
                await connection.recv()

    with_gateway(tmp_path, test)


@pytest.mark.parametrize("frame", ["{", '{"type":"query","key":"no key"}', b"bytes", "[]"])
def test_a_malformed_message_ends_the_connection_with_a_stated_code(
    tmp_path: Path, frame: str | bytes
) -> None:
    async def test(port: int) -> None:
        async with link(tmp_path, port, "relay") as connection:
            await connection.send('{"type":"of-the-future"}')
            await connection.send(frame)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == CLOSE_MALFORMED

    with_gateway(tmp_path, test)


async def answer(connection: ClientConnection) -> Any:  # noqa: ANN401 - one of the messages
    return protocol.decode_to_relay(await asyncio.wait_for(connection.recv(), 60))


def test_the_same_key_gets_the_same_answer_until_an_operator_replays(tmp_path: Path) -> None:
    import msgspec

    async def test(port: int) -> None:
        commit = Commit(KEY, "demo", msgspec.Raw(b"{}"), "a" * 64, "2026-01-01T00:00:00Z")
        async with link(tmp_path, port, "relay") as connection:
            await connection.send(protocol.encode(Query(KEY)))
            assert await answer(connection) == Progress(KEY, "unknown")
            await connection.send(protocol.encode(commit))
            assert await answer(connection) == Accepted(KEY)
            first = await answer(connection)
            assert (type(first), first.retryable) == (Rejected, False)
            assert await answer(connection) == Progress(KEY, "alerted")
        async with link(tmp_path, port, "relay") as connection:
            for message in (commit, Query(KEY)):
                await connection.send(protocol.encode(message))
                assert await answer(connection) == first
                assert await answer(connection) == Progress(KEY, "alerted")
            await connection.send(protocol.encode(msgspec.structs.replace(commit, replay=True)))
            assert await answer(connection) == Accepted(KEY)
            other = msgspec.structs.replace(commit, bundle=msgspec.Raw(b"[]"))
            await connection.send(protocol.encode(other))
            # The end of the replayed note may be told before or after this.
            while "stands for another note" not in getattr(await answer(connection), "reason", ""):
                pass
            nowhere = msgspec.structs.replace(commit, site="nowhere")
            await connection.send(protocol.encode(nowhere))
            while "has no site nowhere" not in getattr(await answer(connection), "reason", ""):
                pass

    with_gateway(tmp_path, test)
