"""What is given up is alerted, whoever is killed; what was under way is gone on with."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bayscribe_relay.gateway.alerts import Alerts
from bayscribe_relay.gateway.config import AlertConfig, SiteConfig
from bayscribe_relay.writeback.bundle import resource_id
from bayscribe_relay.writeback.service import Writeback
from bayscribe_relay.writeback.states import State
from emr.census import requests
from emr.process import EmrProcess
from writeback.rig import a_note, encoded, gateway_file, hospital, make_pki, outgoing, seeds, sign


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path / "emr", {"hang_s": 20.0}) as running:
        running.seed(*seeds(4))
        yield running


@asynccontextmanager
async def webhook(status: int = 200) -> AsyncIterator[tuple[str, "asyncio.Queue[dict[str, Any]]"]]:
    """A listener for alerts; its address and what came. ``status`` is its first answer."""
    came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers = [status]

    async def take(request: web.Request) -> web.Response:
        code = answers.pop() if answers else 200
        if code < 300:
            came.put_nowait(await request.json())
        return web.Response(status=code)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", came
    finally:
        await runner.cleanup()


async def until(condition: Any, seconds: float = 60.0) -> None:  # noqa: ANN401 - a callable
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the outbox and the EMR have no event to wait for
            await asyncio.sleep(0.02)


def test_three_failed_retries_are_a_dead_letter_and_an_alert(
    tmp_path: Path, emr: EmrProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        async with webhook(status=503) as (url, came):
            site = (
                f'fhir_base = "{emr.fhir}"\nack_timeout_s = 1.5\nalert_webhook = "{url}"\n'
                'operations_contact = "ops@hospital.example"\nsite_contact = "it@hospital.example"'
            )
            emr.script({"fault": "hang", "operation": "transaction", "times": 99})
            async with hospital(tmp_path, site) as writeback:
                letter = await sign(writeback)
                assert (letter.state, letter.attempts) == (State.DEAD, 4)
                alert = await asyncio.wait_for(came.get(), 60)
                assert (alert["key"], alert["alert"]) == (letter.key, "dead-letter")
                assert alert["operations_contact"] == "ops@hospital.example"
                assert "Doe" not in json.dumps(alert)
                await until(lambda: writeback.outbox.unalerted() == [])
                emr.clear_script()
                (again,) = await writeback.outbox.replay([letter.key])
                final = await writeback.wait(again.key, 60)
                assert final.state is State.VERIFIED, final.reason
                assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())
    said = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "Lactate" not in said
    assert "Doe" not in said


def test_ten_silent_seconds_park_a_note_and_the_next_try_has_the_same_key(
    tmp_path: Path, emr: EmrProcess
) -> None:
    """With the times as they are unless a site's table says otherwise."""

    async def run() -> None:
        emr.script({"fault": "hang", "operation": "transaction"})
        async with hospital(tmp_path, f'fhir_base = "{emr.fhir}"') as writeback:
            letter = await writeback.submit(encoded(a_note()))
            final = await writeback.wait(letter.key, 120)
            assert (final.state, final.attempts) == (State.VERIFIED, 2), final.reason
            parked = [e for e in writeback.outbox.events(letter.key) if e[2] == State.PARKED]
            assert "within 10 s" in parked[0][3]
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())
    tries = [key for operation, key, *_ in requests(emr.store) if operation == "transaction"]
    assert len(tries) == 2
    assert len(set(tries)) == 1


def test_an_emr_that_throttles_for_ever_is_given_up_in_the_end(
    tmp_path: Path, emr: EmrProcess
) -> None:
    async def run() -> None:
        emr.set(retry_after_s=0, storm_every_s=1.0, storm_s=1.0)
        site = f'fhir_base = "{emr.fhir}"\nthrottle_patience_s = 0.3\nretries = 1'
        async with hospital(tmp_path, site) as writeback:
            letter = await sign(writeback)
            assert letter.state is State.DEAD
            assert "overloaded (429)" in letter.reason

    asyncio.run(run())


def test_a_document_that_somebody_changed_since_is_left_as_it_is(
    tmp_path: Path, emr: EmrProcess
) -> None:
    """The answer is lost, somebody supersedes the note, and only then the gateway looks."""

    async def run() -> None:
        site = f'fhir_base = "{emr.fhir}"\nack_timeout_s = 2.0'
        emr.script({"fault": "answer-lost", "operation": "transaction"})
        async with hospital(tmp_path, site) as writeback:
            letter = await writeback.submit(encoded(a_note()))
            document = resource_id(letter.key, "DocumentReference")
            await until(lambda: emr.census().of(letter.key).current == 1)
            stored = await asyncio.to_thread(emr.get, f"DocumentReference/{document}")
            await _amend(emr, stored)
            final = await writeback.wait(letter.key, 120)
            assert final.state is State.REJECTED
            assert "superseded: somebody has changed it since" in final.reason
            assert emr.get(f"DocumentReference/{document}")["status"] == "superseded"
            assert emr.census().of(letter.key).document_references == 1

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["altered", "stored-but-lost"])
def test_what_was_acknowledged_but_is_not_in_the_chart_as_signed_is_written_again(
    tmp_path: Path, emr: EmrProcess, fault: str
) -> None:
    async def run() -> None:
        emr.script({"fault": fault, "operation": "transaction"})
        async with hospital(tmp_path, f'fhir_base = "{emr.fhir}"') as writeback:
            letter = await sign(writeback, timeout_s=120)
            assert (letter.state, letter.attempts) == (State.VERIFIED, 2)
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)

    asyncio.run(run())


async def _amend(emr: EmrProcess, stored: dict[str, Any]) -> None:
    body = {**stored, "status": "superseded"}
    body.pop("meta", None)
    await asyncio.to_thread(emr.put, f"DocumentReference/{stored['id']}", body)


def start_gateway(config: Path) -> "tuple[subprocess.Popen[str], int]":
    process = subprocess.Popen(
        [sys.executable, "-m", "bayscribe_relay.gateway.cli", "serve", "--config", str(config)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline().split()[-1])


@pytest.mark.parametrize("fault", ["hang", "answer-lost", None])
def test_a_gateway_killed_at_work_goes_on_after_its_start(
    tmp_path: Path, emr: EmrProcess, fault: str | None
) -> None:
    make_pki(tmp_path)
    emr.set(latency={"write": [0.3, 0.3], "read": [0.0, 0.0], "mdm": [0.0, 0.0]})
    if fault is not None:
        emr.script({"fault": fault, "operation": "transaction"})
    site = f'fhir_base = "{emr.fhir}"\nack_timeout_s = 1.0'
    first, port = start_gateway(gateway_file(tmp_path, site))

    async def run() -> None:
        async with Writeback.running(outgoing(tmp_path, port)) as writeback:
            letter = await writeback.submit(encoded(a_note()))
            await until(lambda: _state(writeback, letter.key) is not State.QUEUED)
            first.send_signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait)
            second, _ = start_gateway(gateway_file(tmp_path, site, port))
            try:
                final = await writeback.wait(letter.key, 120)
                assert final.state is State.VERIFIED, final.reason
                assert emr.census().of(letter.key).exactly_once(final.note_sha256)
            finally:
                second.terminate()
                await asyncio.to_thread(second.wait)
                if second.stdout is not None:
                    second.stdout.close()

    try:
        asyncio.run(run())
    finally:
        first.kill()
        first.wait()
        if first.stdout is not None:
            first.stdout.close()


def _state(writeback: Writeback, key: str) -> State | None:
    letter = writeback.outbox.get(key)
    return letter.state if letter else None


def test_mail_goes_to_both_contacts() -> None:
    async def run() -> None:
        mails: asyncio.Queue[bytes] = asyncio.Queue()

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 test\r\n")
            while line := await reader.readline():
                if line.upper().startswith(b"DATA"):
                    writer.write(b"354 go\r\n")
                    mails.put_nowait(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            site = SiteConfig(operations_contact="ops@h.example", site_contact="it@h.example")
            alerts = Alerts(AlertConfig(smtp_host="127.0.0.1", smtp_port=port))
            body = {"key": "k", "site": "demo", "reason": "given up"}
            await asyncio.wait_for(alerts.deliver(site, body), 60)
        mail = message_from_bytes(mails.get_nowait())
        assert mail["To"] == "ops@h.example, it@h.example"
        assert "given up" in str(mail.get_payload())

    asyncio.run(run())
