"""Door to `edet convert_checkpoint`: edet/cli/convert_checkpoint.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.convert_checkpoint", run_name="__main__", alter_sys=True)
