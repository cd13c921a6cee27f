#!/usr/bin/env bash
# Asks for the TPU and waits, hours if need be, until it is there. It costs from then on.
#   tpu/create.sh [--dry-run]
source "$(dirname "$0")/common.sh"

tpus tpu-vm versions describe "$RUNTIME" > /dev/null ||
  fail "$ZONE has no RUNTIME $RUNTIME; gcloud compute tpus tpu-vm versions list --zone=$ZONE"
spot=(--spot)
[ "$SPOT" = 1 ] || spot=()
tpus queued-resources create "$TPU" --node-id="$TPU" --accelerator-type="$TYPE" \
  --runtime-version="$RUNTIME" "${spot[@]}"
missing=0 # looks in a row
while [ -z "$DRY_RUN" ]; do
  now=$(state) || now=unknown # the network fails at times
  case $now in
    ACTIVE) break ;;
    FAILED | SUSPEND*) fail "the request is $now; tpu/delete.sh, then try again or elsewhere." ;;
    unknown) ;;
    "") # the list may lag behind the request
      [ "$((++missing))" -le 5 ] || fail "the request for $TPU is no longer there; tpu/create.sh asks again."
      ;;
    *) missing=0 ;;
  esac
  sleep "$POLL"
done
