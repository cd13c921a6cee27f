"""EfficientDet for TensorFlow and Keras 3 (Tan, Pang, Le, arXiv 1911.09070)."""

import importlib
from typing import Any

_HOMES = {
    "Detector": "edet.inference.detector",
    "Segmenter": "edet.inference.detector",
    "build_network": "edet.models.efficientdet",
    "list_models": "edet.config.sizes",
    "load": "edet.workflows.model",
    "load_config": "edet.config.loading",
    "load_weights": "edet.weights.loading",
    "train": "edet.workflows.model",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: TensorFlow and Keras take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
