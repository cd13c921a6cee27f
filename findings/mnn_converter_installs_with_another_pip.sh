#!/usr/bin/env bash
# Importing MNN's converter (MNN.tools.mnnconvert, the command mnnconvert) should import it; it runs
# `pip install -U aliyun-log-python-sdk` by the first pip of PATH, which need not be its own Python's:
# called by its path, an environment's MNN changes the packages of the Python that the shell finds, and
# protobuf falls back to 5.x there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mnn==3.6.1 numpy
mkdir other
# A pip of another Python, which only says that it was called.
printf '#!/bin/sh\necho "$@" >> "%s/called"\n' "$folder" > other/pip
cp other/pip other/pip3
chmod +x other/pip other/pip3
PATH="$folder/other:$PATH" venv/bin/python -c "import MNN.tools.mnnconvert" > log 2>&1 || true
cat called 2> /dev/null || true
grep -q "install.*aliyun-log-python-sdk" called || { echo "mnn 3.6.1 asks no pip of PATH any more"; exit 1; }
echo "mnn 3.6.1: import MNN.tools.mnnconvert has asked the first pip of PATH to install a package"
