"""Door to tools/paper/paper_figures.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.paper.paper_figures")
