"""Door to `edet make_mosaics`: edet/cli/make_mosaics.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.make_mosaics", run_name="__main__", alter_sys=True)
