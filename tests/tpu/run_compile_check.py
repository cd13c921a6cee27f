"""Compiles a small network with both heads for two TPU cores: run_compile_check.py STEP OUTPUT."""

import sys

import tpu.compile_check  # noqa: F401  sets what libtpu reads when TensorFlow loads it
from edet.config.schema import Config, SegmentationConfig, replace
from edet.files import write_json
from tests.small import small_model
from tpu.compile_check.__main__ import check
from tpu.compile_check.report import batch_key

if __name__ == "__main__":
    pixels = SegmentationConfig(width=16, repeats=1)
    model = small_model(heads=("detection", "segmentation"), segmentation=pixels)
    config = replace(Config(model=model), data={batch_key(sys.argv[1]): 4})
    write_json(sys.argv[2], check(config, sys.argv[1], "v3:2x2", 2))
