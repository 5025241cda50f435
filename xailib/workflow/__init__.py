"""How a study runs: the grid of slices, what each depends on, a slice in a warm process, plans, clusters."""
