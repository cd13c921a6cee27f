"""`edet` and `python -m edet`: a tool by its name, without one the modes of edet.cli.main."""

import runpy
import sys

TOOLS = (
    "beam_predict",
    "convert_checkpoint",
    "create_tfrecords",
    "demo",
    "inspect_tfrecords",
    "make_mosaics",
    "serve_client",
    "sweep",
)


def run() -> None:
    """The console script `edet`."""
    name = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in TOOLS else "main"
    runpy.run_module(f"edet.cli.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run()
