"""Classes by name: a class that source and network share keeps its logits, whatever its place.

Shapes: A anchors of a location · K classes · W channels before the last convolution. Channel
a * K + k of the class head is class k of anchor a (reference).
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from edet.config.labels import labels_of

_BIAS = "class_head.predict/bias"
# of a separable and of a full convolution
_KERNELS = ("class_head.predict/pointwise_kernel", "class_head.predict/kernel")


def transfer_classes(
    network: keras.Model, found: dict[str, np.ndarray], source_labels: Mapping[int, str]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Rearranges the class head's last convolution in `found` for the network's classes.

    New classes keep what the network has: random kernels and the prior's bias. Without a single
    common class the arrays are taken out of `found`.

    Args:
      network: from `build_network`; its labels say what its logits mean.
      found: {path of a variable of the network: array of the source}; changed in place.
      source_labels: {id: name} of the source in logit order; a name may be empty.

    Returns:
      Names of the (kept, new) classes, or None where the arrays may be taken as they are: the
      classes are the same, or the network's have no names and their number agrees.
    """
    model = network.model_config
    source, target = list(source_labels.values()), list(labels_of(model).values())
    variables = {v.path: v for v in network.variables if v.path in (*_KERNELS, _BIAS)}
    if source == target or not all(path in found for path in variables):
        return None
    if not model.labels and len(source) == len(target):
        return None
    per_location = model.anchors.per_location
    place = {_plain(name): k for k, name in enumerate(source) if name}
    pairs = [(k, place[_plain(name)]) for k, name in enumerate(target) if _plain(name) in place]
    if found[_BIAS].size != per_location * len(source):
        pairs = []  # another number of anchors: its logits mean something else
    for path, variable in variables.items():
        old = found.pop(path)
        if not pairs or old.shape[:-1] != tuple(variable.shape[:-1]):
            continue
        old = old.reshape(*old.shape[:-1], per_location, len(source))  # [..., A, K]
        new = variable.numpy().reshape(*variable.shape[:-1], per_location, len(target))
        for k, k_source in pairs:
            new[..., k] = old[..., k_source]
        found[path] = new.reshape(variable.shape)
    kept = {k for k, _ in pairs} if any(path in found for path in _KERNELS) else set()
    named = [(k, name) for k, name in enumerate(target) if name]
    return (
        tuple(name for k, name in named if k in kept),
        tuple(name for k, name in named if k not in kept),
    )


def _plain(name: str) -> str:
    """Case, blanks, hyphens and underscores do not make another class."""
    return "".join(c for c in name.casefold() if c not in " -_")
