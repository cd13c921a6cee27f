"""Door to `edet create_tfrecords`: edet/cli/create_tfrecords.py."""

from edet.__main__ import run

if __name__ == "__main__":
    run("edet.cli.create_tfrecords")
