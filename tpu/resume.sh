#!/usr/bin/env bash
# Stays until the training is finished: asks for the TPU anew when it was taken back, and starts the
# training again whenever it ended early. Then gives the TPU back, unless KEEP=1.
#   tpu/resume.sh [--dry-run] [further flags of main.py]
source "$(dirname "$0")/common.sh"

flags=("$@")
start() { tpu/train.sh "${flags[@]}" && begun=1; }
begin() { tpu/setup.sh && start; }
anew() { unreached=0 && tpu/create.sh && begin; }
look="if [ -e edet/tpu/worker.sh ]; then edet/tpu/worker.sh state 'gs://$BUCKET/$RUN'; else echo new; fi"

if [ -n "$DRY_RUN" ]; then # one round, in which the TPU has been taken back
  state && on 0 "$look" && tpu/delete.sh && anew
  exit
fi
failures=0 newest=0 # since the newest checkpoint, and its step
unreached=0         # looks in a row; 20 are ten minutes
begun=              # whether a run was seen or started
failed() { # Progress is a newer checkpoint: a training that crashes has been running, too.
  step=$(run gcloud storage ls "gs://$BUCKET/$RUN/checkpoints/ckpt-*.index" --project="$PROJECT" --quiet |
    sed -n 's/.*ckpt-\([0-9]*\)\.index$/\1/p' | sort -n | tail -n 1) || step=
  [ "${step:-0}" -le "$newest" ] || failures=0 newest=$step
  failures=$((failures + 1))
  [ "$failures" -lt 5 ] || fail "$1, the fifth time without a newer checkpoint; tpu/follow.sh may show why. The TPU stays, and costs."
}
while true; do
  now=$(state) || now=unknown # the network fails at times
  case $now in
    ACTIVE)
      job=$(on 0 "$look") && unreached=0 || job=unreachable # as hosts are that are just being taken back
      job=${job##*$'\n'}
      case $job in
        running) begun=1 ;;
        other) fail "$TPU is training something else; set TPU to another name, or tpu/stop.sh first." ;;
        unreachable)
          echo "tpu: $TPU does not answer ssh, look $((++unreached)) of 20." >&2
          [ "$unreached" -lt 20 ] || fail "$TPU does not answer ssh; try tpu/follow.sh, or tpu/delete.sh. The TPU stays, and costs."
          ;;
        new) begin || failed "setting up failed" ;;
        *)
          # A code from before this script's first round is of an earlier run: it decides nothing.
          case ${begun:-no},$job in
            no,* | *,lost | *,143) ;; # 143: SIGTERM
            *,0) break ;;
            *,2) fail "the training refuses its settings; tpu/follow.sh shows why. The TPU stays, and costs." ;;
            *) failed "the training ended with code $job" ;;
          esac
          start || failed "starting failed"
          ;;
      esac
      ;;
    "") anew || failed "setting up failed" ;;
    SUSPENDED | FAILED) { tpu/delete.sh && anew; } || failed "setting up failed" ;;
  esac
  sleep "$POLL"
done
echo "finished: gs://$BUCKET/$RUN" >&2
[ "${KEEP:-}" = 1 ] || tpu/delete.sh
