"""Door to tools/benchmarks/fusion_speed.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.benchmarks.fusion_speed")
