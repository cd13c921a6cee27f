"""Weights from elsewhere: what was loaded, re-initialised and left unused."""
