"""Door to tools/benchmarks/fusion_speed.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.benchmarks.fusion_speed", run_name="__main__", alter_sys=True)
