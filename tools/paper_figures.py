"""Door to tools/paper/paper_figures.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("tools.paper.paper_figures", run_name="__main__", alter_sys=True)
