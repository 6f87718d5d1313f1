"""The test's hand on the EMR: settings, scripted faults, seeded patients, requests counted."""

from typing import Any

import msgspec
from aiohttp import web

from emr.http_server import FhirServer
from emr.mllp import MllpServer
from emr.settings import PROFILES, Scripted, Settings


class Admin:
    """The ``/_admin`` routes.

    Args:
        server: the FHIR side.
        mllp: the MLLP side.
    """

    def __init__(self, server: FhirServer, mllp: MllpServer) -> None:
        self.server = server
        self.mllp = mllp

    def application(self) -> web.Application:
        """The routes; served on a plain loopback port of their own."""
        app = web.Application()
        app.router.add_get("/_admin/settings", self._get_settings)
        app.router.add_patch("/_admin/settings", self._patch_settings)
        app.router.add_post("/_admin/script", self._script)
        app.router.add_delete("/_admin/script", self._clear_script)
        app.router.add_post("/_admin/seed", self._seed)
        app.router.add_get("/_admin/faults", self._faults)
        app.router.add_post("/_admin/drop-mllp", self._drop_mllp)
        app.router.add_post("/_admin/revoke-tokens", self._revoke)
        return app

    async def _get_settings(self, _request: web.Request) -> web.Response:
        return _json(self.server.settings)

    async def _patch_settings(self, request: web.Request) -> web.Response:
        changes = await request.json()
        if isinstance(changes.get("latency"), str):
            changes["latency"] = msgspec.to_builtins(PROFILES[changes["latency"]])
        current = msgspec.to_builtins(self.server.settings)
        try:
            changed = msgspec.convert({**current, **changes}, Settings)
        except msgspec.ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        for name in changes:
            setattr(self.server.settings, name, getattr(changed, name))
        return _json(self.server.settings)

    async def _script(self, request: web.Request) -> web.Response:
        try:
            entries = msgspec.convert(await request.json(), list[Scripted])
        except msgspec.ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.server.plan.script.extend(entries)
        return _json(self.server.plan.script)

    async def _clear_script(self, _request: web.Request) -> web.Response:
        self.server.plan.script.clear()
        return web.json_response({})

    async def _seed(self, request: web.Request) -> web.Response:
        """Store resources as they are: what the hospital already holds."""
        resources: list[dict[str, Any]] = await request.json()
        store, now = self.server.store, self.server.fhir.now()
        with store.atomic():
            for resource in resources:
                body = {name: value for name, value in resource.items() if name != "id"}
                store.put(resource["resourceType"], resource["id"], body, now)
        return web.json_response({"stored": len(resources)})

    async def _faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self.server.plan.injected)

    async def _drop_mllp(self, _request: web.Request) -> web.Response:
        self.mllp.drop_all()
        return web.json_response({})

    async def _revoke(self, _request: web.Request) -> web.Response:
        self.server.tokens.revoke_all()
        return web.json_response({})


def _json(value: object) -> web.Response:
    return web.json_response(body=msgspec.json.encode(value))
