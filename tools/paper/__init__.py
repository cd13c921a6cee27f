"""The paper's tables and figures, a module each; tools/paper_tables.py and paper_figures.py."""
