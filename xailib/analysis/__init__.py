"""From tidy scores to tables, correlations, findings and the report.

Everything here reads the frames of one study (`frames.read_frames`) and returns frames; nothing runs a network.
"""
