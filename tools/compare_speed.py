"""Door to tools/benchmarks/compare_speed.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.benchmarks.compare_speed", run_name="__main__", alter_sys=True)
