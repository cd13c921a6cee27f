"""Deterministic, name-seeded weight filler (numpy only; no TensorFlow, no reference code).

weight(name, shape) depends only on the canonical variable name (reference TF name
without the trailing ':0'), its shape, a salt string and a small dict of gains.
See README.md for the rule in words.
"""

import hashlib
import math

import numpy as np

# Gains per golden case: proj = backbone 1x1 projection, res = the same inside a residual
# block, fpn = pointwise kernels of the BiFPN nodes, head = pointwise kernels of both heads.
DEFAULT_GAINS = {"proj": 3.0, "res": 1.2, "fpn": 1.6, "head": 1.2}


def rng_for(name, salt=""):
    h = hashlib.sha256((salt + "|" + name).encode("utf-8")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(h[:8], "little")))


def weight(name, shape, salt="w", gains=None):
    g = dict(DEFAULT_GAINS, **(gains or {}))
    shape = tuple(int(s) for s in shape)
    r = rng_for(name, salt)
    last = name.split("/")[-1]
    lite = "efficientnet-lite" in name
    backbone = name.startswith("efficientnet-")
    if last == "gamma":
        w = r.uniform(0.8, 1.2, shape)
    elif last == "beta" or last == "moving_mean":
        w = r.uniform(-0.2, 0.2, shape)
    elif last == "moving_variance":
        w = r.uniform(0.5, 1.5, shape)
    elif last == "bias":
        w = r.uniform(-0.1, 0.1, shape)
        if "class-predict" in name:
            w = w - 2.0
    elif last.startswith("WSM"):
        w = r.uniform(0.2, 2.0, shape)
        s = r.uniform(0.0, 1.0, shape)  # drawn second, from the same stream
        if last == "WSM_1":  # only the second input's weight can be negative
            w = np.where(s < 0.3, -w, w)
    elif last == "depthwise_kernel":  # (kh, kw, c, 1)
        gain = 1.4 if lite else 1.6
        w = r.standard_normal(shape) * (gain / math.sqrt(shape[0] * shape[1]))
    elif last == "pointwise_kernel":  # (1, 1, cin, cout)
        gain = g["fpn"] if name.startswith("fpn_cells/") else g["head"]
        if "class-predict" in name:
            gain *= 0.5
        if "box-predict" in name:  # keeps exp(th), exp(tw) finite
            gain *= 0.08
        w = r.standard_normal(shape) * (gain / math.sqrt(shape[2]))
    elif last == "kernel":  # (kh, kw, cin, cout)
        fan_in = shape[0] * shape[1] * shape[2]
        gain = 1.0
        if backbone and shape[:2] == (1, 1) and "/se/" not in name:
            if shape[2] in (6 * shape[3], shape[3]):
                gain = g["res"]  # projection of a block with a skip connection
            elif shape[2] > shape[3]:
                gain = g["proj"]  # projection of a block without one
        w = r.standard_normal(shape) * (gain / math.sqrt(fan_in))
    else:
        raise ValueError(f"no rule for {name!r}")
    return np.asarray(w, np.float64).astype(np.float32).reshape(shape)


def image(case, batch, height, width):
    """Smooth-plus-noise float32 image with mean ~0 and std ~1 (already 'normalised')."""
    r = rng_for(f"image/{case}/{batch}x{height}x{width}", "x")
    out = np.zeros((batch, height, width, 3))
    for cell in (1, 4, 16, 64):
        gh, gw = -(-height // cell), -(-width // cell)
        n = r.standard_normal((batch, gh, gw, 3))
        out += np.repeat(np.repeat(n, cell, 1), cell, 2)[:, :height, :width]
    return (out / 2.0).astype(np.float32)
