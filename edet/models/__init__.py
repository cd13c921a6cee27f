"""Networks: backbones, feature networks, heads, and EfficientDet made of them.

Importing this tells Keras about their layers: it reads a network's .keras file only then.
"""

from edet.models import layers, pyramid

__all__ = ["layers", "pyramid"]
