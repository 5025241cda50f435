"""How a study runs: the grid of slices, what each depends on, a slice in a warm process, plans, clusters."""

from xailib.workspace import SHIPPED


def snakefile() -> str:
    """Return the Snakefile that comes with xailib, for the `include:` or `module:` of another one."""
    return str(SHIPPED / "Snakefile")
