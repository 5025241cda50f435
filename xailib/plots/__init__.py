"""What several figures share: palette and style, pictures of maps, charts that more than one notebook draws.

Tidy frames in, Matplotlib figures out; colour-blind-safe, with n and intervals. What only one notebook shows is drawn there.
"""

from xailib.plots.maps import curves, overlay, picture_grid, show
from xailib.plots.methods import agreement, cost_and_rank, gains, mean_curves
from xailib.plots.networks import correlation_matrix, dose, scatter
from xailib.plots.roar import by_form, method_colours, roar_curves, toy_curves
from xailib.plots.specifications import specification_curve
from xailib.plots.style import (
    FAMILIES,
    FAMILY_LABELS,
    FAMILY_PALETTE,
    GREY,
    MARKERS,
    Picture,
    algorithms,
    empty,
    list_files,
    note,
    save,
    set_style,
    told,
)

__all__ = [
    "FAMILIES",
    "FAMILY_LABELS",
    "FAMILY_PALETTE",
    "GREY",
    "MARKERS",
    "Picture",
    "agreement",
    "algorithms",
    "by_form",
    "correlation_matrix",
    "cost_and_rank",
    "curves",
    "dose",
    "empty",
    "gains",
    "list_files",
    "mean_curves",
    "method_colours",
    "note",
    "overlay",
    "picture_grid",
    "roar_curves",
    "save",
    "scatter",
    "set_style",
    "show",
    "specification_curve",
    "told",
    "toy_curves",
]
