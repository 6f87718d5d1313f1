"""Silero VAD 6: the 16 kHz branch, with its recurrent state as inputs and outputs.

Weights come from the package's jit file: ``silero_vad_16k.safetensors`` and
``silero_vad_half.onnx`` of the same version hold other ones.
"""

import numpy as np
import tensorflow as tf
import torch
from conversion import arguments, compare, convert, noise
from packages import Weights, arrays, member

FILE = "silero_fp16.tflite"
CELLS = 128
BINS = 129


def weights(wheels) -> Weights:
    """The tensors of the jit file, by the names of its modules."""
    jit = torch.jit.load(member("silero-vad", "silero_vad/data/silero_vad.jit", wheels))
    prefix = "_model."
    state = arrays(jit.state_dict())
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


class Silero(tf.Module):
    """Spectrum, four convolutions, one LSTM cell, one output."""

    def __init__(self, w: Weights) -> None:
        super().__init__()
        self.w = w
        basis = w["stft.forward_basis_buffer"][:, 0, :]
        # The fourth frame reads 64 samples that are reflected from before the end: their
        # weights are folded onto the samples that they mirror.
        last = basis[:, :192].copy()
        mirrored = 574 - np.arange(64) - 384
        np.add.at(last, (slice(None), mirrored), basis[:, 192:])
        self.basis, self.last = basis.T.copy(), last.T.copy()

    def _convolve(self, x, layer: int, stride: int):
        name = f"encoder.{layer}.reparam_conv"
        kernel = np.transpose(self.w[f"{name}.weight"], (2, 1, 0))[None].copy()
        x = tf.pad(x, [[0, 0], [0, 0], [1, 1], [0, 0]])
        x = tf.nn.conv2d(x, tf.constant(kernel), [1, 1, stride, 1], "VALID")
        return tf.nn.relu(x + tf.constant(self.w[f"{name}.bias"]))

    def _spectrum(self, x):
        frames = tf.concat([x[:, 0:256], x[:, 128:384], x[:, 256:512]], 0)
        whole = tf.matmul(tf.reshape(frames, [3, 256]), tf.constant(self.basis))
        parts = tf.concat([whole, tf.matmul(x[:, 384:576], tf.constant(self.last))], 0)
        real, imaginary = parts[:, :BINS], parts[:, BINS:]
        return tf.reshape(tf.sqrt(real * real + imaginary * imaginary), [1, 1, 4, BINS])

    @tf.function(
        input_signature=[
            tf.TensorSpec([1, 576], tf.float32, name="x"),
            tf.TensorSpec([1, CELLS], tf.float32, name="h"),
            tf.TensorSpec([1, CELLS], tf.float32, name="c"),
        ]
    )
    def __call__(self, x, h, c):
        y = self._spectrum(x)
        for layer, stride in enumerate((1, 2, 2, 1)):
            y = self._convolve(y, layer, stride)
        w, cell = self.w, "decoder.rnn."
        both = np.concatenate([w[cell + "weight_ih"], w[cell + "weight_hh"]], 1).T.copy()
        bias = w[cell + "bias_ih"] + w[cell + "bias_hh"]
        gates = tf.matmul(tf.concat([tf.reshape(y, [1, CELLS]), h], 1), tf.constant(both)) + bias
        i, f, g, o = tf.split(gates, 4, axis=1)
        c_out = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h_out = tf.sigmoid(o) * tf.tanh(c_out)
        out = w["decoder.decoder.2.weight"][:, :, 0].T.copy()
        logit = tf.matmul(tf.nn.relu(h_out), tf.constant(out)) + w["decoder.decoder.2.bias"]
        return {"prob": tf.sigmoid(logit), "h_out": h_out, "c_out": c_out}


def main() -> None:
    """Rebuild and compare."""
    options = arguments("Rebuild the voice activity network.")
    network = Silero(weights(options.wheels))
    content = convert(network.__call__, network, half=True)
    (options.out / FILE).write_bytes(content)
    compare(content, FILE, noise("speech", 100, 0.1))


if __name__ == "__main__":
    main()
