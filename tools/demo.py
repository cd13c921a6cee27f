"""Door to `edet demo`: edet/cli/demo.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.demo", run_name="__main__", alter_sys=True)
