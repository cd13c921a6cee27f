"""Door to tools/benchmarks/benchmark_input.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.benchmarks.benchmark_input")
