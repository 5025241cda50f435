"""Figures for talks and papers: tidy frames in, Matplotlib figures out; colour-blind-safe, with n and intervals."""

from xailib.plots.charts import method_ranks, robust_differences
from xailib.plots.maps import curves, map_grid, overlay, show, show_maps
from xailib.plots.networks import confidence_histograms, correlation_matrix, scatter
from xailib.plots.reliability import reliability
from xailib.plots.roar import roar_blurred, roar_curves, roar_retraining
from xailib.plots.roar_checks import roar_area, roar_examples, roar_leak
from xailib.plots.roar_toy import toy_curves
from xailib.plots.style import list_files, save

__all__ = [
    "confidence_histograms",
    "correlation_matrix",
    "curves",
    "list_files",
    "map_grid",
    "method_ranks",
    "overlay",
    "reliability",
    "roar_area",
    "roar_blurred",
    "roar_curves",
    "roar_examples",
    "roar_leak",
    "roar_retraining",
    "robust_differences",
    "save",
    "scatter",
    "show",
    "show_maps",
    "toy_curves",
]
