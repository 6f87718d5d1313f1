"""TensorFlow function in, TFLite file out, and how it compares with the shipped file."""

import argparse
import tomllib
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

MODELS = Path(__file__).resolve().parents[1]

_PER_TENSOR = "_experimental_disable_per_channel_quantization_for_dense_layers"


LEAST_COSINE = 0.99
"""Between outputs of the rebuilt and the shipped file; quantised ones reach 0.9996."""


def arguments(what: str) -> argparse.Namespace:
    """``--out`` and ``--wheels``, the same for every recipe."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--out", type=Path, required=True, help="folder for the new files")
    parser.add_argument("--wheels", type=Path, help="folder of the packages; OUT by default")
    parsed = parser.parse_args()
    parsed.wheels = parsed.wheels or parsed.out
    parsed.out.mkdir(parents=True, exist_ok=True)
    return parsed


def convert(function, owner, *, half: bool) -> bytes:
    """TFLite content with half-precision weights, or with dynamic-range int8 ones.

    Dense layers stay per tensor: per channel they become FULLY_CONNECTED version 12, which
    tflite-runtime 2.14 refuses.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], owner
    )
    # The converter has no public name for this.
    setattr(converter, _PER_TENSOR, True)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if half:
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def run(content: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One invocation of a network on a new interpreter."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.get_signature_runner()(**inputs)


def compare(content: bytes, name: str, trials: list[dict[str, np.ndarray]]) -> None:
    """Print the largest difference and the least cosine to the shipped file's outputs."""
    shipped = (MODELS / name).read_bytes()
    worst: dict[str, tuple[float, float]] = {}
    for inputs in trials:
        new, old = run(content, inputs), run(shipped, inputs)
        for key in old:
            a, b = new[key].ravel().astype(np.float64), old[key].ravel().astype(np.float64)
            cosine = float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))
            most, least = worst.get(key, (0.0, 1.0))
            worst[key] = (max(most, float(np.abs(a - b).max())), min(least, cosine))
    same = "the same bytes" if content == shipped else f"{len(content)} / {len(shipped)} bytes"
    print(f"{name}: {same}")
    for key, (most, least) in worst.items():
        print(f"  {key}: max |difference| {most:.2g}, least cosine {least:.6f}, {len(trials)} runs")
        if least < LEAST_COSINE:
            raise SystemExit(f"{name}: {key} is not the shipped network's")


def shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Input shapes of a network in the manifest."""
    manifest = tomllib.loads((MODELS / "manifest.toml").read_text())
    return {k: tuple(v) for k, v in manifest["networks"][network]["inputs"].items()}


def noise(network: str, trials: int, scale: float) -> list[dict[str, np.ndarray]]:
    """Inputs to compare on: modulated noise, the same at every run."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(trials):
        inputs = {}
        for key, shape in shapes(network).items():
            envelope = 1 + 0.9 * np.sin(np.linspace(0, 40, shape[1]) + rng.uniform(0, 6))
            values = rng.standard_normal(shape) * scale
            if key not in {"h", "c"}:
                values *= envelope.reshape(1, -1, *[1] * (len(shape) - 2))
            inputs[key] = values.astype(np.float32)
        made.append(inputs)
    return made
