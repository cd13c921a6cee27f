"""Door to `edet beam_predict`: edet/cli/beam_predict.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.beam_predict", run_name="__main__", alter_sys=True)
