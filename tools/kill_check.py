"""Door to tools/checks/kill_check.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.checks.kill_check", run_name="__main__", alter_sys=True)
