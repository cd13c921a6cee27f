"""The SavedModel: a predictor as a folder that TensorFlow loads without edet or Keras."""

from __future__ import annotations

import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
import yaml

from edet.config.labels import labels_of, mask_labels_of
from edet.config.schema import Config, ModelConfig
from edet.config.sizes import as_dict
from edet.errors import UserError
from edet.export.serving_protos import PredictionLog, predict_request
from edet.export.signature_session import SignatureSession
from edet.export.signatures import Signature, signatures_of
from edet.files import failure, folder_aside, read_text, reason, write_json
from edet.ownership import lock_beside, owned

_WARMUP = "tf_serving_warmup_requests"  # the name that TensorFlow Serving looks for


def export_saved_model(
    network: keras.Model, config: Config, folder: str, version: int | None = None
) -> str:
    """Writes `<folder>/<version>/`, the layout that TensorFlow Serving polls.

    `signatures_of` tells what it answers. Beside the graph lie
      assets/labels.yaml: {id: name}; fits `model.labels` (of a network that only segments, {value
        of the masks: name}; fits `model.segmentation.labels`).
      assets.extra/edet.json: every signature with dtype, shape and meaning of its input and
        outputs, the labels, the whole configuration and TensorFlow's version.
      assets.extra/tf_serving_warmup_requests: one request for each signature, which a server runs
        before it takes any other.

    Args:
      network: from `build_network(config.model)`.
      config: its `model`, `detect` and `export.signatures` are used.
      folder: name of the model; gs:// works.
      version: number of the version; by default one more than the highest there.

    Returns:
      The folder written. It appears whole or not at all: an export that is killed leaves only a
      folder `.<version>.*.part`, which servers pass over because its name is no number. (A bucket
      renames a folder file by file, so a server that polls it can meet a part.)

    Raises:
      UserError: the version exists, another export writes in the folder, or it cannot be written.
    """
    try:
        tf.io.gfile.makedirs(folder)
        # The lock is beside it: servers look into it.
        with owned(lock_beside(folder), folder, "an export", "name another folder"):
            if version is None:
                version = 1 + max((int(v) for v in _entries(folder) if v.isdigit()), default=0)
            target = os.path.join(folder, str(version))
            if tf.io.gfile.exists(target):
                raise UserError(f"{target} exists already; give another version or remove it.")
            with folder_aside(target) as aside:
                _write(network, config, aside, model_name=os.path.basename(folder.rstrip("/")))
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot write the SavedModel in {folder}", error) from error
    return target


def find_saved_model(path: str) -> str:
    """Returns the folder of the SavedModel at a path, of several versions the newest; "" if none.

    Args:
      path: `<folder>/<version>`, or the folder of the versions; gs:// works.
    """
    if not tf.io.gfile.isdir(path):
        return ""
    versions = sorted((v for v in _entries(path) if v.isdigit()), key=int, reverse=True)
    folders = (path, *(os.path.join(path, version) for version in versions))
    is_one = (tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")) for folder in folders)
    return next((f for f, one in zip(folders, is_one, strict=True) if one), "")


class SavedModelFolder:
    """The network of a SavedModel of ours, by its signature "raw".

    Args:
      path: as of `find_saved_model`.

    Raises:
      UserError: it is damaged or of another origin.
    """

    def __init__(self, path: str):
        folder = find_saved_model(path)
        metadata = os.path.join(folder, "assets.extra", "edet.json")
        if not tf.io.gfile.exists(metadata):
            raise UserError(
                f"{folder} has no assets.extra/edet.json: it was not written by --mode=export."
            )
        try:
            config = json.loads(read_text(metadata, "metadata"))["config"]
            for section in (config["model"], config["model"]["segmentation"]):
                section["labels"] = {int(key): name for key, name in section["labels"].items()}
            sections = {name: config[name] for name in ("model", "detect")}
            signatures = config["export"].get("signatures")
            self._mean = np.float32(config["model"]["mean_rgb"])
            self._deviation = np.float32(config["model"]["stddev_rgb"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{metadata} is damaged ({type(error).__name__}: {error}); export the model again."
            ) from error
        self.settings = yaml.safe_dump(sections, sort_keys=False)
        if signatures == "images":
            raise UserError(
                f"{folder} has the signature images alone, which takes whole pictures; to evaluate "
                "or predict with it, export it with export.signatures=all or raw."
            )
        try:
            self._run = SignatureSession(folder, "raw")
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"cannot read the SavedModel {folder}: {reason(error)}") from error
        self.inputs, self.outputs = self._run.inputs, self._run.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs images, float32 [B, h, w, 3], fitted raw pixels in 0-255."""
        return self._run((images - self._mean) / self._deviation)


def _entries(folder: str) -> list[str]:
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]


def _write(network: keras.Model, config: Config, folder: str, model_name: str) -> None:
    signatures = signatures_of(network, config)
    functions = {
        name: tf.function(signature.function, autograph=False).get_concrete_function(
            signature.input
        )
        for name, signature in signatures.items()
    }
    module = tf.Module()
    module.weights = list(next(iter(functions.values())).variables)
    with tempfile.TemporaryDirectory() as own:
        labels = os.path.join(own, "labels.yaml")
        with open(labels, "w", encoding="utf-8") as file:
            yaml.safe_dump(_labels(config.model), file, allow_unicode=True)
        module.labels = tf.saved_model.Asset(labels)
        tf.saved_model.save(module, folder, signatures=functions)
    extra = os.path.join(folder, "assets.extra")
    write_json(os.path.join(extra, "edet.json"), _metadata(config, signatures, functions))
    _write_warmup(os.path.join(extra, _WARMUP), signatures, model_name)


def _labels(model: ModelConfig) -> dict[int, str]:
    return labels_of(model) if model.detects else mask_labels_of(model)


def _metadata(
    config: Config,
    signatures: dict[str, Signature],
    functions: dict[str, tf.types.experimental.ConcreteFunction],
) -> dict:
    """Describes the model; dtypes and shapes are those of the functions themselves."""

    def described(spec: tf.TensorSpec, about: str) -> dict:
        return {"dtype": spec.dtype.name, "shape": spec.shape.as_list(), "about": about}

    masks = {}
    if config.model.segments:
        masks = {"mask_labels": mask_labels_of(config.model)}
    return {
        "labels": _labels(config.model),
        **masks,
        "signatures": {
            name: {
                "about": signature.about,
                "inputs": {signature.input.name: described(signature.input, signature.about_input)},
                "outputs": {
                    key: described(functions[name].structured_outputs[key], about)
                    for key, about in signature.about_outputs.items()
                    if key in functions[name].structured_outputs
                },
            }
            for name, signature in signatures.items()
        },
        "config": as_dict(config),
        "tensorflow": tf.__version__,
    }


def _write_warmup(path: str, signatures: dict[str, Signature], model_name: str) -> None:
    """Writes one request for each signature, of one grey or black picture."""
    picture = tf.io.encode_jpeg(np.full((64, 64, 3), 128, np.uint8)).numpy()
    with tf.io.TFRecordWriter(path) as writer:
        for name, signature in signatures.items():
            spec = signature.input
            if spec.dtype == tf.string:
                value = tf.make_tensor_proto([picture])
            else:  # one number for all elements keeps the file small
                shape = [side or 64 for side in spec.shape[1:]]
                value = tf.make_tensor_proto(0, spec.dtype, [1, *shape])
            request = predict_request(model_name, name, {spec.name: value})
            writer.write(PredictionLog(predict_log={"request": request}).SerializeToString())
