"""Door to `edet`: edet/cli/main.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run()
