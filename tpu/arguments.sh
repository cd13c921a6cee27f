# shellcheck shell=bash disable=SC2034
# Sourced by common.sh: takes --dry-run and --help from the arguments, wherever they stand. A mistyped
# option must not ask for a TPU, or give one back that trains; train.sh and resume.sh hand on others.
rest=()
for word in "$@"; do
  case ${0##*/}/$word in
    */--dry-run) DRY_RUN=1 ;;
    */-h | */--help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "tpu/${0##*/}"; exit ;;
    train.sh/* | resume.sh/*) rest+=("$word") ;;
    *) fail "$word is nothing that ${0##*/} takes; see tpu/${0##*/} --help." ;;
  esac
done
set -- "${rest[@]}"
