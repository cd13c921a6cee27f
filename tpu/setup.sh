#!/usr/bin/env bash
# Copies the committed files of this repository to all hosts of the TPU and installs them there.
#   tpu/setup.sh [--dry-run]
source "$(dirname "$0")/common.sh"

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
run git archive --format=tar.gz --output="$folder/edet.tar.gz" HEAD
tpus tpu-vm scp "$folder/edet.tar.gz" "$TPU:" --worker=all
on all 'mkdir -p edet && tar -xzf edet.tar.gz -C edet && edet/tpu/worker.sh install'
