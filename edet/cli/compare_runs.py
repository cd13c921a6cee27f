"""Two evaluated runs beside each other on one page, the pictures first where they differ most.

edet compare_runs runs/a runs/b --output=compare.html
"""

from __future__ import annotations

import tensorflow as tf
from absl import flags

from edet.cli.common import run_with_inputs
from edet.errors import UserError
from edet.files import read_text, write_text
from edet.report.comparison import MARK, compare


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("output", "compare.html", "The page to write.", flag_values=values)


def compare_runs(options: flags.FlagValues, runs: list[str]) -> None:
    """Writes the page of two workdirs.

    Raises:
      UserError: there are not two, one has no evaluation, or another page would be replaced.
    """
    if len(runs) != 2:
        raise UserError(f"give two workdirs to compare, such as runs/a runs/b; here are {runs}.")
    if not options.output.endswith(".html"):
        raise UserError(f"--output={options.output} is a page; end its name in .html.")
    if tf.io.gfile.exists(options.output) and MARK not in read_text(options.output, "the page"):
        raise UserError(
            f"{options.output} is no comparison and would be replaced; name another --output."
        )
    write_text(options.output, compare(*runs))
    print(f"{options.output} shows {runs[0]} and {runs[1]}")


if __name__ == "__main__":
    run_with_inputs(define_flags, compare_runs)
