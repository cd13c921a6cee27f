"""Door to `edet compare_runs`: edet/cli/compare_runs.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.compare_runs")
