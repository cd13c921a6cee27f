"""Door to `edet sweep`: edet/cli/sweep.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.sweep")
