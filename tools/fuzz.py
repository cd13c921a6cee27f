"""Door to tools/checks/fuzz.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.checks.fuzz")
