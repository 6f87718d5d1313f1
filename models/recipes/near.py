"""The near-speech network: trained on what ``near_inputs.py`` wrote, converted, checked.

Two recurrent layers over what the array hears. It learns two things at once: how much of
each band is speech, by what is left of the beam against the speech alone, in compressed power
and in decibels; and whether anybody speaks, and two.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from conversion import run
from torch import nn
from torch.nn import functional

FILE = "near.tflite"
BANDS, OUTPUTS, WIDTH, ENTRY = 64, 66, 224, 192
DELAY = 8
"""Frames by which an answer follows what it is about."""

BATCH, SPAN = 24, 256
COMPRESSION, LEAST = 0.15, -7.0
"""Exponent of power, and how many nepers of it under speech's mean still count."""

GAIN = 0.7
"""By how much levels are varied in training, nepers of power (standard deviation)."""


class Near(nn.Module):
    """float32 (batch, frames, inputs) to (batch, frames, BANDS + 2) log-odds."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.entry = nn.Linear(len(mean), ENTRY)
        self.memory = nn.GRU(ENTRY, WIDTH, 2, batch_first=True, dropout=0.25)
        self.answer = nn.Linear(WIDTH + ENTRY, OUTPUTS)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        entry = self.drop(functional.relu(self.entry((x - self.mean) / self.scale)))
        remembered, _ = self.memory(entry)
        return self.answer(self.drop(torch.cat([remembered, entry], 2)))


class Scenes:
    """Recordings, and spans of them at random."""

    def __init__(self, paths: list[Path]) -> None:
        self.all = [dict(np.load(path)) for path in paths]
        self.levels = [_level(scene["speech"]) for scene in self.all]
        self._random = np.random.default_rng(0)

    def inputs(self) -> np.ndarray:
        """A twentieth of all frames."""
        return np.concatenate([scene["x"][::20] for scene in self.all]).astype(np.float32)

    def batch(self) -> list[torch.Tensor]:
        """Inputs, speech and beam as nepers of power by band, the truth, speech's level."""
        columns: list[list] = [[], [], [], [], []]
        for _ in range(BATCH):
            k = int(self._random.integers(len(self.all)))
            scene, level = self.all[k], self.levels[k]
            at = int(self._random.integers(len(scene["x"]) - SPAN - DELAY))
            x = scene["x"][at : at + SPAN + DELAY].astype(np.float32)
            x[:, :BANDS] += self._random.normal(0, GAIN)
            now = slice(at, at + SPAN)
            row = (x, scene["speech"][now], scene["beam"][now], scene["talking"][now], [[level]])
            for column, value in zip(columns, row, strict=True):
                column.append(np.asarray(value, np.float32))
        return [torch.tensor(np.stack(column)) for column in columns]


def _level(speech: np.ndarray) -> float:
    """Nepers of power of a frame in which somebody speaks, mean of bands."""
    power = np.exp(speech.astype(np.float32)).mean(axis=1)
    loud = power > 0.1 * np.sqrt(power.max() * power.mean())
    return float(np.log(power[loud].mean()))


def loss(answer, speech, beam, talking, level) -> tuple[torch.Tensor, float, float]:
    """What is minimised; of it the part of compressed power and that of anybody's talking."""
    odds = functional.binary_cross_entropy_with_logits(
        answer[..., BANDS:], talking, reduction="none"
    ).mean((0, 1))
    left = beam + 2 * functional.logsigmoid(answer[..., :BANDS]) - level
    wanted = speech - level
    power = (torch.exp(COMPRESSION * left) - torch.exp(COMPRESSION * wanted)).square().mean()
    decibels = (left.clamp(min=LEAST) - wanted.clamp(min=LEAST)).abs().mean()
    whole = 10 * power + 0.1 * decibels + 0.3 * odds[0] + 0.15 * odds[1]
    return whole, float(power), float(odds[0])


def judged(network: Near, held: Scenes) -> str:
    """Mean losses over whole scenes, in words."""
    network.eval()
    rows, wrong = [], []
    with torch.no_grad():
        for scene, level in zip(held.all, held.levels, strict=True):
            x = torch.tensor(scene["x"][None].astype(np.float32))
            answer = network(x)[:, DELAY:]
            count = answer.shape[1]
            others = (scene[key][None, :count] for key in ("speech", "beam", "talking"))
            speech, beam, talking = (torch.tensor(np.asarray(o, np.float32)) for o in others)
            whole, power, odds = loss(answer, speech, beam, talking, level)
            rows.append((float(whole), power, odds))
            said = answer[0, :, BANDS] > 0
            wrong.append(float((said != (talking[0, :, 0] > 0)).sum() / talking[0, :, 0].sum()))
    mean = np.mean(rows, axis=0)
    words = f"loss {mean[0]:.4f}, power {mean[1]:.4f}, odds {mean[2]:.3f}"
    return f"{words}, wrong {100 * np.mean(wrong):.1f} % of the speech"


def fit(scenes: Scenes, held: Scenes, minutes: float) -> dict[str, np.ndarray]:
    """Weights of the network after so many minutes."""
    torch.manual_seed(0)
    x = scenes.inputs()
    network = Near(x.mean(axis=0), x.std(axis=0) + 1e-3)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    began, done, step = time.monotonic(), 0.0, 0
    while done < 1:
        rate = 1.5e-3 * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * done)) + 1e-5
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        inputs, *others = scenes.batch()
        whole, *_ = loss(network(inputs)[:, DELAY:], *others)
        optimizer.zero_grad()
        whole.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step, done = step + 1, (time.monotonic() - began) / 60 / minutes
        if step % 250 == 0 or done >= 1:
            print(f"{step} steps: {judged(network, held)}", flush=True)
    return {k: v.numpy().copy() for k, v in network.state_dict().items()}


class Step(tf.Module):
    """One frame: x (1, inputs) and h (2, WIDTH) in; odds, mask and h_out out."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.w = weights

    def _remember(self, layer: int, x, h):
        w, end = self.w, f"_l{layer}"
        given = tf.matmul(x, w["memory.weight_ih" + end].T.copy()) + w["memory.bias_ih" + end]
        kept = tf.matmul(h, w["memory.weight_hh" + end].T.copy()) + w["memory.bias_hh" + end]
        reset = tf.sigmoid(given[:, :WIDTH] + kept[:, :WIDTH])
        update = tf.sigmoid(given[:, WIDTH : 2 * WIDTH] + kept[:, WIDTH : 2 * WIDTH])
        new = tf.tanh(given[:, 2 * WIDTH :] + reset * kept[:, 2 * WIDTH :])
        return new + update * (h - new)

    def function(self):
        """The concrete function to convert."""
        w = self.w
        spec = [
            tf.TensorSpec([1, len(w["mean"])], tf.float32, name="x"),
            tf.TensorSpec([2, WIDTH], tf.float32, name="h"),
        ]

        @tf.function(input_signature=spec)
        def call(x, h):
            scaled = (x - w["mean"]) * (1 / w["scale"])
            entry = tf.nn.relu(tf.matmul(scaled, w["entry.weight"].T.copy()) + w["entry.bias"])
            first = self._remember(0, entry, h[:1])
            second = self._remember(1, first, h[1:])
            both = tf.concat([second, entry], 1)
            answer = tf.matmul(both, w["answer.weight"].T.copy()) + w["answer.bias"]
            return {
                "odds": answer[:, BANDS:],
                "mask": tf.sigmoid(answer[:, :BANDS]),
                "h_out": tf.concat([first, second], 0),
            }

        return call


def converted(weights: dict[str, np.ndarray]) -> bytes:
    """TFLite content with half-precision weights."""
    step = Step(weights)
    concrete = step.function().get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], step)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def check(content: bytes, weights: dict[str, np.ndarray], x: np.ndarray) -> None:
    """Print the largest difference of log-odds over frames (n, inputs) to the trained network."""
    network = Near(weights["mean"], weights["scale"])
    network.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
    network.eval()
    with torch.no_grad():
        wanted = network(torch.tensor(x[None]))[0, :, BANDS:].numpy()
    h, said = np.zeros((2, WIDTH), np.float32), []
    for row in x:
        out = run(content, {"x": row[None], "h": h})
        h = out["h_out"]
        said.append(out["odds"][0])
    print("largest difference of log-odds:", float(np.abs(np.stack(said) - wanted).max()))


def main() -> None:
    """Train, convert and check."""
    parser = argparse.ArgumentParser(description="Train the near-speech network.")
    parser.add_argument("scenes", type=Path, help="folder of .npz files to train on")
    parser.add_argument("--held", type=Path, required=True, help="folder of others, to judge by")
    parser.add_argument("--minutes", type=float, default=40.0, help="of training")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    held = Scenes(sorted(options.held.glob("*.npz")))
    weights = fit(Scenes(sorted(options.scenes.glob("*.npz"))), held, options.minutes)
    np.savez(options.out / "near.npz", **weights)
    content = converted(weights)
    (options.out / FILE).write_bytes(content)
    check(content, weights, held.all[0]["x"][:100].astype(np.float32))


if __name__ == "__main__":
    main()
