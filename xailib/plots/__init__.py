"""Figures for talks and papers: tidy frames in, Matplotlib figures out; colour-blind-safe, with n and intervals."""

from xailib.plots.charts import method_ranks, robust_differences
from xailib.plots.maps import curves, map_grid, overlay, show_maps
from xailib.plots.networks import confidence_histograms, correlation_matrix, scatter
from xailib.plots.style import list_files, save

__all__ = [
    "confidence_histograms",
    "correlation_matrix",
    "curves",
    "list_files",
    "map_grid",
    "method_ranks",
    "overlay",
    "robust_differences",
    "save",
    "scatter",
    "show_maps",
]
