"""Door to tools/benchmarks/measure_memory.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.benchmarks.measure_memory", run_name="__main__", alter_sys=True)
