"""Door to `edet sweep`: edet/cli/sweep.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.sweep", run_name="__main__", alter_sys=True)
