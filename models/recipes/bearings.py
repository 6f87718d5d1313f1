"""Train the network that weighs maps of directional evidence, and convert it.

Input: ``.npz`` files of ``bearings_inputs.py``. Scenes in the folder
``--held-back`` are only measured. Maps are turned and mirrored at random: no direction is
special.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from conversion import run
from torch import nn
from torch.nn import functional

FILE = "bearings.tflite"
WIDTH, SCALAR_WIDTH = 24, 16
STEPS, BATCH, FROM_ONE_SCENE = 2000, 512, 32
TALKER_WEIGHT = 3.0
"""A talker's cells are few among those of nobody."""


class Bearings(nn.Module):
    """Convolutions round the circle, and a head over all of it."""

    def __init__(self, channels, scalars):
        super().__init__()

        def around(inputs, dilation):
            return nn.Conv1d(
                inputs, WIDTH, 7, padding=3 * dilation, dilation=dilation, padding_mode="circular"
            )

        self.scalars = nn.Linear(scalars, SCALAR_WIDTH)
        self.first, self.second, self.third = (
            around(channels, 1),
            around(WIDTH, 3),
            around(WIDTH, 1),
        )
        self.mixed, self.logits = nn.Conv1d(WIDTH + SCALAR_WIDTH, 16, 1), nn.Conv1d(16, 1, 1)
        self.whole, self.odds = nn.Linear(2 * WIDTH + SCALAR_WIDTH, 32), nn.Linear(32, 2)
        self.drop = nn.Dropout(0.1)

    def forward(self, maps, scalars):
        told = torch.tanh(self.scalars(scalars))
        x = functional.relu(self.first(maps))
        x = x + functional.relu(self.second(x))
        x = functional.relu(self.third(self.drop(x)))
        everywhere = told[:, :, None].expand(-1, -1, x.shape[2])
        mixed = functional.relu(self.mixed(torch.cat([x, everywhere], 1)))
        whole = torch.cat([x.amax(2), x.mean(2), told], 1)
        return self.logits(mixed)[:, 0], self.odds(functional.relu(self.whole(whole)))


def batch(scenes, rng):
    """A random batch: a few frames of each of a few scenes, each scene turned its own way."""
    rows = []
    for _ in range(BATCH // FROM_ONE_SCENE):
        scene = scenes[rng.integers(len(scenes))]
        frames = rng.integers(len(scene["maps"]), size=FROM_ONE_SCENE)
        maps, where = scene["maps"][frames].astype(np.float32), scene["where"][frames]
        turn = rng.integers(maps.shape[-1])
        maps, where = np.roll(maps, turn, -1), np.roll(where, turn, -1)
        if rng.random() < 0.5:
            maps, where = maps[..., ::-1], where[..., ::-1]
        rows.append((maps, scene["scalars"][frames], where, scene["count"][frames]))
    columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    return [torch.tensor(np.ascontiguousarray(column), dtype=torch.float32) for column in columns]


def fit(scenes):
    torch.manual_seed(0)
    network = Bearings(scenes[0]["maps"].shape[1], scenes[0]["scalars"].shape[1])
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
    entropy = functional.binary_cross_entropy_with_logits
    for _ in range(STEPS):
        maps, scalars, where, count = batch(scenes, rng)
        logits, odds = network(maps, scalars)
        loss = 4 * entropy(logits, where, pos_weight=torch.tensor(TALKER_WEIGHT))
        loss = loss + 0.3 * entropy(odds[:, 0], count.clamp(0, 1))
        loss = loss + 0.15 * entropy(odds[:, 1], (count - 1).clamp(0, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def measure(network, name, scene):
    """Print how often the likeliest azimuth is right, and how well speech is told."""
    with torch.no_grad():
        maps = torch.tensor(scene["maps"].astype(np.float32))
        logits, odds = network(maps, torch.tensor(scene["scalars"]))
    where, speech = scene["where"], scene["count"] > 0.5
    one = np.flatnonzero((where.sum(1) > 0) & (where.sum(1) <= 4))
    near = where | np.roll(where, 1, 1) | np.roll(where, -1, 1)
    right = near[one, logits.numpy()[one].argmax(1)].mean()
    told = odds[:, 0].numpy()
    area = (told[speech][:, None] > told[~speech][None]).mean()
    print(f"{name}: within 10 degrees {100 * right:.1f} %, speech AUC {area:.3f}")


class Converted(tf.Module):
    """The fitted layers as a function; circular padding by concatenation."""

    def __init__(self, network, channels, scalars):
        super().__init__()
        self.weights = {k: v.detach().numpy() for k, v in network.state_dict().items()}
        self.channels, self.count = channels, scalars

    def dense(self, x, name):
        return tf.matmul(x, self.weights[f"{name}.weight"].T) + self.weights[f"{name}.bias"]

    def around(self, x, name, dilation=1):
        kernel = self.weights[f"{name}.weight"].transpose(2, 1, 0)
        reach = len(kernel) // 2 * dilation
        padded = tf.concat([x[:, -reach:], x, x[:, :reach]], 1) if reach else x
        made = tf.nn.conv1d(padded, kernel, 1, "VALID", dilations=dilation)
        return made + self.weights[f"{name}.bias"]

    def function(self):
        maps_spec = tf.TensorSpec([1, self.channels, 72], tf.float32, name="maps")
        scalars_spec = tf.TensorSpec([1, self.count], tf.float32, name="scalars")

        @tf.function(input_signature=[maps_spec, scalars_spec])
        def call(maps, scalars):
            told = tf.tanh(self.dense(scalars, "scalars"))
            x = tf.nn.relu(self.around(tf.transpose(maps, [0, 2, 1]), "first"))
            x = x + tf.nn.relu(self.around(x, "second", 3))
            x = tf.nn.relu(self.around(x, "third"))
            everywhere = tf.tile(told[:, None, :], [1, 72, 1])
            mixed = tf.nn.relu(self.around(tf.concat([x, everywhere], 2), "mixed"))
            whole = tf.concat([tf.reduce_max(x, 1), tf.reduce_mean(x, 1), told], 1)
            odds = self.dense(tf.nn.relu(self.dense(whole, "whole")), "odds")
            return {"logits": self.around(mixed, "logits")[:, :, 0], "odds": odds}

        return call


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the bearing network.")
    parser.add_argument("scenes", type=Path, help="folder of .npz files")
    parser.add_argument("--held-back", type=Path, help="folder of scenes that are only measured")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scenes = [dict(np.load(path)) for path in sorted(options.scenes.glob("*.npz"))]
    network = fit(scenes)
    for path in sorted(options.held_back.glob("*.npz")) if options.held_back else ():
        measure(network, path.stem, dict(np.load(path)))
    channels, scalars = scenes[0]["maps"].shape[1], scenes[0]["scalars"].shape[1]
    converted = Converted(network, channels, scalars)
    concrete = converted.function().get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], converted).convert()
    maps, told = scenes[0]["maps"][:1].astype(np.float32), scenes[0]["scalars"][:1]
    made = run(content, {"maps": maps, "scalars": told})
    with torch.no_grad():
        wanted, _ = network(torch.tensor(maps), torch.tensor(told))
    worst = float(np.abs(made["logits"] - wanted.numpy()).max())
    if worst > 1e-3:
        raise SystemExit(f"the converted network differs by {worst}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / FILE).write_bytes(content)
    print(f"{options.out / FILE}: {len(content)} bytes, converted within {worst:.1g}")


if __name__ == "__main__":
    main()
