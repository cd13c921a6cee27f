# shellcheck shell=bash
# Sourced by the scripts beside it: their settings, from the environment, and what they share.
#
#   PROJECT ZONE BUCKET  project, zone of the TPU, and name of the bucket without gs://
#   TPU                  name of the TPU [edet]
#   TYPE                 accelerator type [v5litepod-32]
#   RUNTIME              software of the TPU's hosts [by TYPE, see README.md]
#   SPOT                 1: cheap, and may be taken back at any time; 0: not [1]
#   CONFIG RUN           experiment [configs/coco/d0.yaml], its folder in the bucket [coco/d0]
#   RECORDS              folder of the records on this machine [records]; in the bucket it is records
#   TRAIN EVAL           records in that folder [coco/train2017-*, coco/val2017-*]
#   POLL KEEP            seconds between two looks [30]; 1: resume.sh does not give the TPU back
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "tpu: $*" >&2
  exit 2
}

source tpu/arguments.sh
for name in PROJECT ZONE BUCKET; do
  [ -n "${!name:-}" ] || fail "$name is not set; tpu/README.md begins with the settings."
done
: "${TPU:=edet}" "${TYPE:=v5litepod-32}" "${SPOT:=1}" "${POLL:=30}" "${DRY_RUN:=}"
: "${CONFIG:=configs/coco/d0.yaml}" "${RUN:=coco/d0}" "${RECORDS:=records}"
: "${TRAIN:=coco/train2017-*}" "${EVAL:=coco/val2017-*}"
# A slice of one host drives its own cores; of a larger one, TensorFlow runs on the first host and
# finds the servers of all by the TPU's name, so that its software must be the TensorFlow image.
case $TYPE in
  v3-8) address=local image=tpu-ubuntu2204-base ;;
  v5litepod-[148]) address=local image=v2-alpha-tpuv5-lite ;;
  v6e-[148]) address=local image=v2-alpha-tpuv6e ;;
  *) address=$TPU image=tpu-vm-tf-2.20.0-pod-pjrt ;;
esac
: "${RUNTIME:=$image}" "${address:?}"

BUCKET=${BUCKET#gs://} BUCKET=${BUCKET%/}
[[ $SPOT = [01] ]] || fail "SPOT is $SPOT; give 1 or 0."
export DRY_RUN BUCKET
exec 3>&1 # where commands are shown, also those whose output is read

run() { # Shows a command as it can be pasted; runs it unless --dry-run.
  local word line=
  for word in "$@"; do
    [[ $word =~ ^[[:alnum:]_./:=@,+-]+$ ]] && line+=" $word" || line+=" ${word@Q}"
  done
  echo "${line# }" >&3
  [ -n "$DRY_RUN" ] || "$@"
}

tpus() { run gcloud compute tpus "$@" --zone="$ZONE" --project="$PROJECT" --quiet; }

on() { tpus tpu-vm ssh "$TPU" --worker="$1" --command="$2"; } # on 0|all COMMAND

state() { # Prints the state of the request for the TPU; nothing if there is none.
  tpus queued-resources list --format='csv[no-heading](name.basename(),state.state)' |
    sed -n "s/^$TPU,//p"
}
