"""Door to tools/benchmarks/benchmark_input.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.benchmarks.benchmark_input", run_name="__main__", alter_sys=True)
