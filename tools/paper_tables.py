"""Door to tools/paper/paper_tables.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.paper.paper_tables", run_name="__main__", alter_sys=True)
