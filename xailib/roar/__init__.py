"""ROAR, "A Benchmark for Interpretability Methods in Deep Neural Networks" (Hooker et al., NeurIPS 2019).

An attribution estimator ranks the inputs of every training and test image; the most important share of them is replaced
by an uninformative value; a new network is trained on what is left, and its test accuracy says how much information the
estimator found. The images and their labels lie in a store (`store`), which the rest of the package reads.
"""
