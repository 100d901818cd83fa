"""Differential tests of reading: drawn recordings, written by other libraries, read by ours."""
