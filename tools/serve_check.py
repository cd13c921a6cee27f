"""Door to tools/checks/serve_check.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.checks.serve_check")
