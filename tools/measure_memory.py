"""Door to tools/benchmarks/measure_memory.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.benchmarks.measure_memory")
