"""Door to `edet convert_checkpoint`: edet/cli/convert_checkpoint.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.convert_checkpoint")
