"""The claims of the ROAR paper (Hooker et al. 2019, arXiv 1806.10758), and how each gets its verdict."""

ON_PAR = 0.02  # an accuracy lower by less than this is "on par"
FAR = 0.10  # "by far" and "look good": ten points of accuracy

BASES = {"gradient": "GRAD", "guided_backprop": "GB", "integrated_gradients": "IG"}
CONTROLS = ("random", "sobel")
SMOOTHGRAD = tuple(f"smoothgrad_{base}" for base in BASES)
ENSEMBLES = tuple(f"{form}_{base}" for form in ("smoothgrad_squared", "vargrad") for base in BASES)
SQUARED = tuple(f"{form}_{base}" for form in ("squared", "squared_smoothgrad") for base in BASES)
RANKINGS = (*BASES, *SMOOTHGRAD, *SQUARED, *ENSEMBLES, *CONTROLS)

CLAIMS = {
    "R1": "GRAD, GB and IG are worse than a random ranking at every level.",
    "R2": "The gap between GRAD, GB, IG and the random ranking is widest at the highest level.",
    "R3": "GRAD, GB and IG are on par with or worse than the Sobel edge filter.",
    "R4": "SmoothGrad is worse than the random ranking, and for GRAD and IG worse than a single estimate.",
    "R5": "SmoothGrad-Squared and VarGrad are by far the best, below Random and Sobel at every level.",
    "R6": "The best ensemble is built on GRAD or GB, not on IG.",
    "R7": "Keeping the most important inputs (KAR) separates the rankings less than removing them.",
    "R8": "Retraining is needed: without it every ranking looks good, the random one too.",
}

_ALL = "Intervals over test images and trainings."
RULES = {
    "R1": "For each method, accuracy minus Random's, so above zero is worse than Random. Supported: the mean over levels "
    f"is above zero for each method, and at no level is the interval below. Contradicted: a mean is below zero. {_ALL}",
    "R2": "Mean gap of the three methods at the highest level minus that at each lower level. Supported: above zero for "
    f"every lower level. Contradicted: below zero for one of them. {_ALL}",
    "R3": f"Sobel's accuracy minus the method's, mean over levels. Supported: below {100 * ON_PAR:.0f} points, the least "
    f"that counts, for each method. Contradicted: above zero for one of them. {_ALL}",
    "R4": "At the highest level: SmoothGrad's accuracy minus Random's, and minus the single estimate's for GRAD and IG. "
    f"Supported: all above zero. Contradicted: one is below. {_ALL}",
    "R5": "At the highest level: the best other ranking's accuracy minus the worst ensemble's. Supported: above "
    f"{100 * FAR:.0f} points, and each ensemble's mean over levels below Random's and Sobel's with no level's interval "
    f"above. Contradicted: below zero, or one of these means above. The squared rankings only inform. {_ALL}",
    "R6": "At the highest level: accuracy of the best IG-based ensemble minus that of the best other one. Supported: above "
    f"zero. Contradicted: below. {_ALL}",
    "R7": "At the highest level: spread (largest minus smallest accuracy) over the same rankings when removing, minus that "
    f"when keeping. Supported: above zero. Contradicted: below. {_ALL}",
    "R8": "At the highest level: Random's accuracy after retraining minus Random's, and minus every ranking's, without "
    f"retraining. Supported: all above {100 * FAR:.0f} points. Contradicted: one is below zero. {_ALL}",
}


def label(estimator: str) -> str:
    """Return the paper's row name of an estimator: SG-SQ-GRAD for smoothgrad_squared_gradient."""
    prefixes = {"squared_smoothgrad": "SQ-SG", "smoothgrad_squared": "SG-SQ"}
    prefixes |= {"smoothgrad": "SG", "squared": "SQ", "vargrad": "VAR"}
    base = next((base for base in BASES if estimator.endswith(base)), "")
    form = estimator.removesuffix(base).rstrip("_")
    return f"{prefixes[form]}-{BASES[base]}" if base and form in prefixes else BASES.get(base) or estimator.capitalize()
