"""Door to `edet`: edet/cli/main.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.main", run_name="__main__", alter_sys=True)
