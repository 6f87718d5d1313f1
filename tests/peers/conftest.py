"""The independent servers as fixtures; each is started once for the whole run."""

from collections.abc import Iterator

import pytest

from peers import independent
from peers.independent import FhirPeer, Listener


@pytest.fixture(scope="session", autouse=True)
def peers_set_up() -> None:
    independent.set_up()


@pytest.fixture(scope="session", params=["sekmet", "medplum"])
def fhir_peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FhirPeer]:
    start = independent.sekmet if request.param == "sekmet" else independent.fhir_router
    with start(tmp_path_factory.mktemp(request.param)) as peer:
        yield peer


@pytest.fixture(scope="session")
def node_listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with independent.node_listeners(tmp_path_factory.mktemp("node-hl7")) as listener:
        yield listener


@pytest.fixture(scope="session")
def python_listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with independent.python_hl7(tmp_path_factory.mktemp("python-hl7")) as listener:
        yield listener


@pytest.fixture(params=["medplum", "simple", "python-hl7"])
def hl7_peer(request: pytest.FixtureRequest) -> tuple[str, Listener]:
    fixture = "python_listener" if request.param == "python-hl7" else "node_listener"
    return request.param, request.getfixturevalue(fixture)
