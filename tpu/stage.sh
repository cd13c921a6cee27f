#!/usr/bin/env bash
# Copies the records to the bucket; what is there already is not copied again.
#   tpu/stage.sh [--dry-run]
source "$(dirname "$0")/common.sh"

for glob in "$TRAIN" "$EVAL"; do
  compgen -G "$RECORDS/$glob" > /dev/null ||
    fail "no file matches $RECORDS/$glob; write it with edet create_tfrecords, or set RECORDS."
done
# What begins with a dot is a shard that is being written.
run gcloud storage rsync --recursive --exclude='(.*/)?\..*' "$RECORDS" "gs://$BUCKET/records" \
  --project="$PROJECT" --quiet
