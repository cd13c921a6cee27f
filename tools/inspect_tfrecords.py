"""Door to `edet inspect_tfrecords`: edet/cli/inspect_tfrecords.py."""

import runpy

if __name__ == "__main__":
    runpy.run_module("edet.cli.inspect_tfrecords", run_name="__main__", alter_sys=True)
