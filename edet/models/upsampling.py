"""Bilinear upsampling as two matrix products, for training.

The same numbers as `tf.image.resize`, half-pixel centres. Products of matrices and their gradients
compile for every device; the gradient of TensorFlow's resizing does not.

Shapes: B images, h x w pixels before, H x W after, C channels.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from edet.geometry.boxes import Tensor


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [B, h, w, C] to [B, H, W, C], H >= h and W >= w."""
    rows, columns = (
        ops.convert_to_tensor(_weights(source, target), x.dtype)
        for source, target in zip(x.shape[1:3], size, strict=True)
    )
    return ops.einsum("bywc,xw->byxc", ops.einsum("bhwc,yh->bywc", x, rows), columns)


def _weights(source: int, target: int) -> np.ndarray:
    """Returns [target, source] float32; each row says of what one pixel is the mean."""
    centers = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    first = np.floor(centers).astype(int)
    weights = np.zeros((target, source), np.float32)
    weights[np.arange(target), first] += 1 - (centers - first)
    weights[np.arange(target), np.minimum(first + 1, source - 1)] += centers - first
    return weights
