#!/usr/bin/env bash
# Turns the services on, makes the bucket, lets the TPU's hosts use it: once in a project, and again
# after a call that failed on the way.
#   tpu/project.sh [--dry-run]
source "$(dirname "$0")/common.sh"

run gcloud services enable compute.googleapis.com storage.googleapis.com tpu.googleapis.com \
  --project="$PROJECT" --quiet
# In the TPU's own region reading costs nothing and is near. If the bucket cannot be looked at for
# another reason than being absent, creating it says why.
if ! run gcloud storage buckets describe "gs://$BUCKET" --project="$PROJECT" --quiet > /dev/null 2>&1 ||
  [ -n "$DRY_RUN" ]; then
  run gcloud storage buckets create "gs://$BUCKET" --location="${ZONE%-*}" \
    --uniform-bucket-level-access --project="$PROJECT" --quiet
fi

# TPU hosts act as the project's default account of Compute Engine.
number=$(run gcloud projects describe "$PROJECT" --format='value(projectNumber)')
member=serviceAccount:${number:-PROJECT_NUMBER}-compute@developer.gserviceaccount.com
run gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="$member" \
  --role=roles/storage.admin --project="$PROJECT" --quiet
# The first host of a larger slice looks up the addresses of the others.
run gcloud projects add-iam-policy-binding "$PROJECT" --member="$member" \
  --role=roles/tpu.viewer --condition=None --quiet
