"""Door to `edet serve_web`: edet/cli/serve_web.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.serve_web")
