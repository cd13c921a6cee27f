"""Door to `edet demo`: edet/cli/demo.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.demo")
