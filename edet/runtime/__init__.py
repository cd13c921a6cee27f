"""Devices, memory, and what ends a run from outside."""
