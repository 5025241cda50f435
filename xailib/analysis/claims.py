"""The claims of "How explainable are adversarially-robust CNNs?" (arXiv 2205.13042), and how each gets its verdict."""

MARGIN = 0.05  # a gain in explainability (hit rate or area, 0 to 1) below this is none
LOSS = 0.02  # an accuracy lower by less than this still counts as "as high"
FEWEST_UNITS = 5  # fewer architectures than this, and chance would make all of them agree more than once in twenty

CLAIMS = {
    "F1": "Robust networks explain better than vanilla ones by gradient methods, but not by CAM or perturbation "
    "methods.",
    "F2": "AdvProp networks are as accurate as vanilla ones or more, but explain no better.",
    "F3": "GradCAM and RISE are consistently the best methods.",
    "F4": "Insertion favours vanilla and Deletion favours robust networks, because both follow confidence.",
    "F5": "No network is best on test accuracy, accuracy under shift and explainability at once.",
    "F6": "ResNet is on average the best architecture.",
}

RULES = {
    "F1": "Supported: the gain by gradient methods is above zero and above the gain by each other family. "
    "Contradicted: any of these is below zero, or another family's gain is above zero. Intervals over "
    "architectures and images.",
    "F2": f"Supported: accuracies not more than {LOSS} below and explainability not more than {MARGIN} above the "
    "vanilla twin's, by the end of the interval. Contradicted: an accuracy's interval below zero, or "
    "explainability's above. Intervals over images (over shifts' images drawn apart): about these "
    "networks only.",
    "F3": "Supported: both rank before every rival. Contradicted: the best rival ranks before one of them. "
    "Interval over networks and images. CAM is no rival, since on a network with a pooled linear head "
    "GradCAM is CAM after ReLU; it is reported as a part.",
    "F4": "Supported: robust networks score lower on both (worse Insertion, better Deletion), and both scores "
    "correlate with mean confidence beyond the critical rho. Contradicted: any of these is reversed. "
    "Normalised scores only inform. Intervals over architectures, or networks, and images.",
    "F5": "Supported: even the network closest to it trails another one on some criterion, by an interval below "
    "zero. Contradicted: one network leads on all three, by an interval above zero. Interval over images.",
    "F6": "Each architecture is ranked on test accuracy, shift accuracy and explainability within each training "
    "algorithm that all of them have. Supported: ResNet's mean rank is before every other. Contradicted: "
    "another one's is before it. Interval over images: about these networks only.",
}
