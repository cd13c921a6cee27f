"""Door to tools/checks/fuzz.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.checks.fuzz", run_name="__main__", alter_sys=True)
