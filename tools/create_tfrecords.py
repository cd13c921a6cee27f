"""Door to `edet create_tfrecords`: edet/cli/create_tfrecords.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.create_tfrecords", run_name="__main__", alter_sys=True)
