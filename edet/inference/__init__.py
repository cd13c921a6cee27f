"""From pictures to detections and masks."""
