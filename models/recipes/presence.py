"""Train the network that says whether somebody near speaks, and convert it.

Input: ``.npz`` files, one a scene, with ``V`` float32 (frames, INPUTS), the vectors of
``bayscribe.diarize.presence.Presence.vector`` along a scene's beam, and ``y`` float
(frames,), the share of the frame that lies in a turn of the reference. Scenes
are those of ``benchmarks/scenes`` or any with microphones and an RTTM.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from conversion import run

FILE = "presence.tflite"
HIDDEN = 48
STEPS, BATCH = 600, 8_192
FOLDS = 4


def fit(scenes: list[Path]) -> list[np.ndarray]:
    """Layers of a network of one hidden layer, input scaling folded in."""
    torch.manual_seed(0)
    loaded = [np.load(scene) for scene in scenes]
    x = np.concatenate([scene["V"] for scene in loaded])
    y = np.concatenate([scene["y"] for scene in loaded])
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    inputs = torch.tensor((x - mean) / scale)
    target = torch.tensor(y, dtype=torch.float32)
    network = torch.nn.Sequential(
        torch.nn.Dropout(0.1),
        torch.nn.Linear(x.shape[1], HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(HIDDEN, 1),
    )
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.05)
    for _ in range(STEPS):
        rows = torch.randint(len(inputs), (BATCH,))
        optimizer.zero_grad()
        odds = network(inputs[rows])[:, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(odds, target[rows]).backward()
        optimizer.step()
    first, last = network[1], network[4]
    kernel = first.weight.detach().numpy().T / scale[:, None]
    offset = first.bias.detach().numpy() - mean @ kernel
    outer, bias = last.weight.detach().numpy().T, last.bias.detach().numpy()
    return [a.astype(np.float32) for a in (kernel, offset, outer, bias)]


def odds(layers: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Log-odds (frames,) of vectors (frames, inputs)."""
    kernel, offset, outer, bias = layers
    return (np.tanh(x @ kernel + offset) @ outer + bias)[:, 0]


def held_back(scenes: list[Path]) -> None:
    """Print false alarms and misses on scenes that were left out of the training."""
    for fold in range(FOLDS):
        layers = fit([s for k, s in enumerate(scenes) if k % FOLDS != fold])
        for scene in scenes[fold::FOLDS]:
            data = np.load(scene)
            said, truth = odds(layers, data["V"]) > 0, data["y"] > 0.5
            wrong = [(said & ~truth).sum(), (~said & truth).sum()]
            shares = [100 * count / truth.sum() for count in wrong]
            print(f"{scene.stem}: false alarms {shares[0]:.1f} %, misses {shares[1]:.1f} %")


class Presence(tf.Module):
    """The fitted layers as a function."""

    def __init__(self, layers: list[np.ndarray]) -> None:
        super().__init__()
        self.layers = layers

    def function(self):
        """The concrete function to convert."""
        kernel, offset, outer, bias = self.layers
        size = kernel.shape[0]

        @tf.function(input_signature=[tf.TensorSpec([1, size], tf.float32, name="x")])
        def call(x):
            hidden = tf.tanh(tf.matmul(x, tf.constant(kernel)) + offset)
            return {"odds": tf.matmul(hidden, tf.constant(outer)) + bias}

        return call


def main() -> None:
    """Cross-validate, train on everything, convert and check."""
    parser = argparse.ArgumentParser(description="Train the presence network.")
    parser.add_argument("scenes", type=Path, help="folder of .npz files")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scenes = sorted(options.scenes.glob("*.npz"))
    held_back(scenes)
    layers = fit(scenes)
    network = Presence(layers)
    concrete = network.function().get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network).convert()
    (options.out / FILE).write_bytes(content)
    vectors = np.load(scenes[0])["V"][:5]
    said = [run(content, {"x": v[None]})["odds"][0, 0] for v in vectors]
    print("largest difference:", np.abs(np.array(said) - odds(layers, vectors)).max())


if __name__ == "__main__":
    main()
