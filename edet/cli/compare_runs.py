"""Two evaluated runs beside each other on one page, the pictures first where they differ most.

edet compare_runs runs/a runs/b --output=compare.html
"""

from __future__ import annotations

from absl import flags

from edet.cli.common import run_with_inputs
from edet.errors import UserError
from edet.files import write_text
from edet.report.comparison import compare


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("output", "compare.html", "The page to write.", flag_values=values)


def compare_runs(options: flags.FlagValues, runs: list[str]) -> None:
    """Writes the page of two workdirs.

    Raises:
      UserError: there are not two, or one has no evaluation.
    """
    if len(runs) != 2:
        raise UserError(f"give two workdirs to compare, such as runs/a runs/b; here are {runs}.")
    if not options.output.endswith(".html"):
        raise UserError(f"--output={options.output} is a page; end its name in .html.")
    write_text(options.output, compare(*runs))
    print(f"{options.output} shows {runs[0]} and {runs[1]}")


if __name__ == "__main__":
    run_with_inputs(define_flags, compare_runs)
