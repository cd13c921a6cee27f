#!/usr/bin/env bash
# Gives the TPU back, in whatever state it is, and shows what is left in the zone. The bucket stays.
#   tpu/delete.sh [--dry-run]
source "$(dirname "$0")/common.sh"

tpus queued-resources delete "$TPU" --force
tpus queued-resources list
tpus tpu-vm list
