"""main.py that also knows the small backbone of the tests: for tests that need a process."""

from edet.cli import main
from tests import small
from tests.graphs import run_graphs_as_traced

assert small.BACKBONES  # importing it makes its backbone known

if __name__ == "__main__":
    run_graphs_as_traced()
    main.run()
