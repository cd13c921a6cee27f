"""How much of JPEG to detections follows the network, in SavedModel, LiteRT and onnxruntime.

  python -m tools.benchmarks.after_network --model=efficientdet-d0
  python -m tools.benchmarks.after_network --weights=runs/mine --picture=photo.jpg

Processor time on one thread, medians in milliseconds, of each part alone; so it can be run beside
other work. What follows the network takes longer or shorter by its outputs, so without --weights
these are drawn, near a trained network's. onnxruntime suppresses hard.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from edet.cli.common import run
from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.export.litert import export_litert
from edet.export.onnx import OPSET, export_onnx
from edet.export.portable import kept_classes, postprocess_of
from edet.export.signatures import signatures_of
from edet.image.decode import decode_image
from edet.image.letterbox import letterbox, normalize_images
from edet.inference.postprocess import Postprocess
from edet.workflows.common import load_network
from edet.workflows.configuration import run_config
from tools.benchmarks.compare_speed import network_like_trained, outputs_like_trained
from tools.benchmarks.speed_worker import _pictures

Call = Callable[[], object]


def define_flags(to: flags.FlagValues) -> None:
    """Defines this tool's flags."""
    flags.DEFINE_string("model", "efficientdet-d0", "a named model", flag_values=to)
    flags.DEFINE_string("weights", "", "a workdir or checkpoint in its place", flag_values=to)
    flags.DEFINE_string("picture", "", "what such a network looks at", flag_values=to)
    flags.DEFINE_multi_string("set", [], "a setting, as of main.py", flag_values=to)
    flags.DEFINE_integer("runs", 20, "runs of each part", 1, flag_values=to)


def measure(options: flags.FlagValues) -> None:
    """Prints a row for each runtime."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if options.weights:
        config = run_config("", None, None, options.set, weights=options.weights)
        network = load_network(config, options.weights)
    else:
        config = load_config(options.model, overrides=options.set)
        network = network_like_trained(config)
    model = config.model
    encoded = _pictures(1)[0]
    if options.picture:
        encoded = tf.io.read_file(options.picture)
    fit = tf.function(
        lambda data: letterbox(
            decode_image(data, model.white_level), model.image_size, model.pad_color, model.fit
        ).image[None],
        autograph=False,
    )
    pixels = fit(encoded).numpy()
    if options.weights:
        outputs = network(normalize_images(pixels, model), training=False)
    else:
        outputs = outputs_like_trained(config, 1)
    given = [np.asarray(outputs[name]) for name in ("class_logits", "box_deltas")]
    picture = _milliseconds(lambda: fit(encoded).numpy(), options.runs)
    print(f"{model.name}, {model.image_size}: picture {picture:.1f}")
    for name, parts in (("SavedModel", _saved_model), ("LiteRT", _litert), ("ONNX", _onnx)):
        alone, rest = (
            _milliseconds(c, options.runs) for c in parts(network, config, pixels, given)
        )
        share = 100 * rest / (picture + alone + rest)
        print(
            f"{name:10} network {alone:6.1f}  after it {rest:5.2f}  share {share:4.1f} %",
            flush=True,
        )


def _milliseconds(call: Call, runs: int) -> float:
    times = []
    for _ in range(runs + 3):
        start = time.process_time()
        call()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times[3:])


def _saved_model(
    network: keras.Model, config: Config, pixels: np.ndarray, given: list[np.ndarray]
) -> tuple[Call, Call]:
    raw = signatures_of(network, replace(config, export={"signatures": "raw"}))["raw"]
    alone = tf.function(raw.function, [raw.input], autograph=False)
    postprocess = Postprocess.of(config.model, config.detect)
    rest = tf.function(lambda *x: postprocess(*x, tf.ones([1, 2]), "cpu"), autograph=False)
    images, tensors = tf.constant(pixels), [tf.constant(value) for value in given]
    return (
        lambda: [value.numpy() for value in alone(images).values()],
        lambda: [value.numpy() for value in rest(*tensors).values()],
    )


def _rest(
    config: Config, given: list[np.ndarray]
) -> tuple[tf.types.experimental.GenericFunction, dict[str, np.ndarray]]:
    """Returns what follows the network in a file, and its inputs: logits of fewer classes."""
    logits, deltas = given
    logits = np.ascontiguousarray(logits[..., kept_classes(config) or slice(None)])
    inputs = {"class_logits": logits, "box_deltas": deltas}
    specs = [tf.TensorSpec(value.shape, tf.float32, name) for name, value in inputs.items()]
    return tf.function(postprocess_of(config), specs, autograph=False), inputs


def _litert(
    network: keras.Model, config: Config, pixels: np.ndarray, given: list[np.ndarray]
) -> tuple[Call, Call]:
    from ai_edge_litert.interpreter import Interpreter

    def call(content: bytes, inputs: list[np.ndarray]) -> Call:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        for value in inputs:
            (place,) = (
                d["index"] for d in interpreter.get_input_details() if (*d["shape"],) == value.shape
            )
            interpreter.set_tensor(place, value)
        return interpreter.invoke

    with tempfile.TemporaryDirectory() as folder:
        wanted = replace(config, export={"format": "litert", "outputs": "network"})
        with open(export_litert(network, wanted, f"{folder}/x.tflite"), "rb") as file:
            alone = call(file.read(), [pixels])
    rest, inputs = _rest(config, given)
    converter = tf.lite.TFLiteConverter([rest.get_concrete_function()])
    return alone, call(converter.convert(), list(inputs.values()))


def _onnx(
    network: keras.Model, config: Config, pixels: np.ndarray, given: list[np.ndarray]
) -> tuple[Call, Call]:
    import onnxruntime
    import tf2onnx

    def call(content: bytes, inputs: dict[str, np.ndarray]) -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options)
        return lambda: session.run(None, inputs)

    with tempfile.TemporaryDirectory() as folder:
        wanted = replace(config, export={"format": "onnx", "outputs": "network"})
        with open(export_onnx(network, wanted, f"{folder}/x.onnx"), "rb") as file:
            alone = call(file.read(), {"images": pixels})
    rest, inputs = _rest(replace(config, detect={"nms": "hard"}), given)
    model, _ = tf2onnx.convert.from_function(
        rest, input_signature=rest.input_signature, opset=OPSET
    )
    return alone, call(model.SerializeToString(), inputs)


if __name__ == "__main__":
    run(define_flags, measure)
