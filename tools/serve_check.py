"""Door to tools/checks/serve_check.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.checks.serve_check", run_name="__main__", alter_sys=True)
