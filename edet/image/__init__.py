"""Pixels: decoding, transcoding, fitting into the network input."""
