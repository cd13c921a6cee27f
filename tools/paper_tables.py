"""Door to tools/paper/paper_tables.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("tools.paper.paper_tables")
