"""The one port to a TFLite interpreter.

``ai-edge-litert`` is the maintained runtime and the default; ``tflite-runtime`` 2.14 is
what older boards have. Both load the same files through the same calls; which file of a
network suits a runtime is in ``models/manifest.toml``.
"""

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from bayscribe import resources
from bayscribe.errors import ConfigError, ModelError
from bayscribe.settings import load

Floats = NDArray[np.float32]

RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}


class NetworkFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a network and the runtimes that it suits, best first."""

    file: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    runtimes: tuple[str, ...]


class NetworkEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest says of a network."""

    purpose: str
    card: str
    source: str
    licence: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    files: tuple[NetworkFile, ...]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """``models/manifest.toml``."""

    networks: dict[str, NetworkEntry]


class Network:
    """A loaded network: named arrays in, named arrays out.

    Attributes:
        name: in the manifest.
        sha256: of the file that was loaded.
        runtime: which interpreter runs it.
    """

    def __init__(
        self, name: str, entry: NetworkEntry, content: bytes, runtime: str, threads: int
    ) -> None:
        self.name = name
        self.sha256 = hashlib.sha256(content).digest()
        self.runtime = runtime
        module: Any = importlib.import_module(RUNTIMES[runtime])
        try:
            interpreter = module.Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
            self._runner = interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"network {name} does not load on {runtime}: {error}") from None
        self._interpreter = interpreter
        self._entry = entry
        found = {
            key: tuple(int(n) for n in detail["shape"])
            for key, detail in self._runner.get_input_details().items()
        }
        if found != entry.inputs:
            raise ModelError(f"network {name} takes {found}, the manifest says {entry.inputs}")

    def run(self, inputs: Mapping[str, Floats]) -> dict[str, Floats]:
        """One invocation on a clean interpreter: state goes in and out as arrays only.

        Args:
            inputs: float32 arrays of the manifest's shapes, by name.

        Raises:
            ModelError: an input is missing or has another shape.
        """
        shapes = {key: tuple(value.shape) for key, value in inputs.items()}
        if shapes != self._entry.inputs:
            raise ModelError(f"network {self.name} got {shapes}, takes {self._entry.inputs}")
        self._interpreter.reset_all_variables()
        outputs: dict[str, Floats] = self._runner(**inputs)
        return {key: np.asarray(value, np.float32) for key, value in outputs.items()}


def available_runtime() -> str:
    """The best runtime that is installed.

    Raises:
        ModelError: there is none.
    """
    for name, module in RUNTIMES.items():
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return name
    raise ModelError(
        "no TFLite interpreter is installed",
        "install the extra bayscribe[litert], or [tflite] on boards with CPython 3.11",
    )


def load_network(
    name: str, *, threads: int = 1, runtime: str | None = None, folder: Path | None = None
) -> Network:
    """Load a network of the manifest.

    Args:
        name: in the manifest.
        threads: that the interpreter may use.
        runtime: a key of :data:`RUNTIMES`; the best that is installed when absent.
        folder: where manifest and files lie; the product's own when absent.

    Raises:
        ModelError: the network is unknown, its file is missing or was altered, or no
            runtime loads it.
    """
    folder = folder or resources.models()
    runtime = runtime or available_runtime()
    try:
        manifest = load(folder / "manifest.toml", Manifest)
    except ConfigError as error:
        raise ModelError(str(error), "reinstall the product") from None
    entry = manifest.networks.get(name)
    if entry is None:
        raise ModelError(f"unknown network {name!r}, known are {', '.join(manifest.networks)}")
    chosen = next((file for file in entry.files if runtime in file.runtimes), None)
    if chosen is None:
        raise ModelError(f"network {name} has no file for {runtime}")
    try:
        content = (folder / chosen.file).read_bytes()
    except OSError:
        raise ModelError(f"{folder / chosen.file} cannot be read", "reinstall it") from None
    if hashlib.sha256(content).hexdigest() != chosen.sha256:
        raise ModelError(
            f"{folder / chosen.file} is not the file that the manifest names",
            "it was altered or damaged: reinstall it",
            code="model-digest",
        )
    return Network(name, entry, content, runtime, threads)
