"""Door to `edet serve_client`: edet/cli/serve_client.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.serve_client")
