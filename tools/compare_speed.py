"""Door to tools/benchmarks/compare_speed.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.benchmarks.compare_speed")
