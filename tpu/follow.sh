#!/usr/bin/env bash
# Shows what the training prints; Ctrl-C ends the showing, not the training.
#   tpu/follow.sh [--dry-run]
source "$(dirname "$0")/common.sh"

echo "curves: tensorboard --logdir=gs://$BUCKET/$RUN" >&2
on 0 'tail -n 50 -F edet/train.log'
