"""`edet` and `python -m edet`: a tool by its name, without one the modes of edet.cli.main."""

import difflib
import gc
import importlib.util
import runpy
import sys

from edet.cli import MODES, TOOLS
from edet.signals import end_with_a_sentence


def _refuse(sentence: str) -> None:
    """Ends with the exit code of a mistake."""
    print(f"edet: {sentence}", file=sys.stderr)
    sys.exit(2)


def run(module: str = "") -> None:
    """The console script `edet`; a door of tools/ says which module it leads to."""
    end_with_a_sentence()  # importing TensorFlow takes seconds
    gc.disable()  # until all is imported, see edet.cli.common
    if not importlib.util.find_spec("tensorflow"):
        _refuse("edet needs TensorFlow; install 'edet[cpu]', 'edet[gpu]' or 'edet[tpu]'.")
    if not module:
        first = sys.argv[1] if len(sys.argv) > 1 else ""
        if first in TOOLS:
            sys.argv.pop(1)
        elif first and not first.startswith("-"):
            if first in MODES:
                _refuse(f"{first} is a mode: edet --mode={first} ...; see --help.")
            begun = [mode for mode in MODES if mode.startswith(first)]  # check, bench
            near = begun or difflib.get_close_matches(first, [*TOOLS, *MODES], 1)
            what = f"--mode={near[0]}" if near and near[0] in MODES else "".join(near)
            nearest = f"; the nearest is {what}" if near else ""
            _refuse(f"{first} is no tool{nearest}. Modes are given as --mode=NAME; see --help.")
        module = f"edet.cli.{first if first in TOOLS else 'main'}"
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run()
