#!/usr/bin/env bash
# Lets the training save and end. The TPU stays, and costs: see tpu/delete.sh.
#   tpu/stop.sh [--dry-run]
source "$(dirname "$0")/common.sh"

on 0 edet/tpu/worker.sh\ stop
