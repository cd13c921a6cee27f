"""Door to `edet make_mosaics`: edet/cli/make_mosaics.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.make_mosaics")
