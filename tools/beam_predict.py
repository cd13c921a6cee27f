"""Door to `edet beam_predict`: edet/cli/beam_predict.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.beam_predict")
