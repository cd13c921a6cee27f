"""Door to `edet inspect_tfrecords`: edet/cli/inspect_tfrecords.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.inspect_tfrecords")
