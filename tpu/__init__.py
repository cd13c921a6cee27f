"""Training on TPUs: scripts for the cloud, and what can be known without a TPU."""
