#!/usr/bin/env bash
# Starts the training on all cores, or goes on from its last checkpoint; returns at once.
#   tpu/train.sh [--dry-run] [further flags of main.py, such as --set train.epochs=30]
source "$(dirname "$0")/common.sh"

flags=(--mode=train_and_eval --strategy=tpu --tpu="$address" --config="$CONFIG"
  --workdir="gs://$BUCKET/$RUN"
  --set "data.train_records=gs://$BUCKET/records/$TRAIN"
  --set "data.eval_records=gs://$BUCKET/records/$EVAL" "$@")
# One process, on the first host. For a larger slice it leaves the chips of that host, too, to the
# servers, and takes them all from there.
library=
[ "$address" = local ] || library='TPU_LOAD_LIBRARY=0 '
on 0 "${library}edet/tpu/worker.sh start ${flags[*]@Q}"
