"""How a study runs: the grid of slices, what each depends on, a slice in a warm process, plans, clusters."""

from xailib.workspace import SHIPPED


def snakefile() -> str:
    """Return the Snakefile that comes with xailib, for the `include:` or `module:` of another one.

    A workspace's own one runs a study by

        from xailib.workflow import snakefile
        config.setdefault("study", "NAME")
        include: snakefile()
        rule study: input: rules.all.input
    """
    return str(SHIPPED / "Snakefile")
