"""`edet` and `python -m edet`: a tool by its name, without one the modes of edet.cli.main."""

import gc
import runpy
import sys

from edet.signals import end_with_a_sentence

TOOLS = (
    "beam_predict",
    "compare_runs",
    "convert_checkpoint",
    "convert_labels",
    "create_tfrecords",
    "demo",
    "inspect_tfrecords",
    "make_mosaics",
    "serve_client",
    "serve_web",
    "sweep",
)


def run(module: str = "") -> None:
    """The console script `edet`; a door of tools/ says which module it leads to."""
    end_with_a_sentence()  # importing TensorFlow takes seconds
    gc.disable()  # until all is imported, see edet.cli.common
    if not module:
        name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in TOOLS else "main"
        module = f"edet.cli.{name}"
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run()
