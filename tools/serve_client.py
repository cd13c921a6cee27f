"""Door to `edet serve_client`: edet/cli/serve_client.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.serve_client", run_name="__main__", alter_sys=True)
