"""EfficientDet for TensorFlow and Keras 3 (Tan, Pang, Le, arXiv 1911.09070)."""

from edet.config.loading import load_config
from edet.config.sizes import list_models
from edet.inference.detector import Detector
from edet.inference.segmenter import Segmenter
from edet.models.efficientdet import build_network
from edet.weights.loading import load_weights

__all__ = [
    "Detector",
    "Segmenter",
    "build_network",
    "list_models",
    "load_config",
    "load_weights",
]
