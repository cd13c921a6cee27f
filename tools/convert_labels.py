"""Door to `edet convert_labels`: edet/cli/convert_labels.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.convert_labels")
