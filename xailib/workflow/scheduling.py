"""Snakemake's scheduler at rest: it looks at the waiting jobs when one has ended, not every second.

Snakemake starts at most so many jobs in a while (`--max-jobs-per-timespan`, 100 a second). Version 9 therefore ends each
look at the waiting jobs by starting a timer for the next look, which starts a timer, and so on for ever; as every job that
ends causes a look of its own, n ended jobs leave n such chains. A timer is needed only where that limit holds jobs back,
and one is enough: ended, failed and interrupted jobs wake the scheduler by themselves.
"""

import time
from typing import Any


def rest_between_jobs() -> None:
    """Let Snakemake's scheduler start a timer where time alone lets more jobs start, and only if none is on its way.

    To be called before jobs run. A version of Snakemake without such timers stays as it is.
    """
    try:
        from snakemake.scheduling.job_scheduler import JobScheduler

        start_timer = JobScheduler._schedule_reevalutation
    except (ImportError, AttributeError):
        return
    if start_timer.__module__ == __name__:  # asked before
        return

    def reevaluate_later(self: Any, delay: float) -> None:
        due = time.monotonic() + delay  # read before the timer starts: until then, the timer has not gone off
        pending = getattr(self, "_xailib_due", 0.0)
        if _waits_for_time(self) and not time.monotonic() < pending <= due:
            self._xailib_due = due
            start_timer(self, delay)

    JobScheduler._schedule_reevalutation = reevaluate_later


def _waits_for_time(scheduler: Any) -> bool:
    """Whether more jobs may be able to start later though none ends: the limit is used up, or input is still arriving."""
    try:
        limiter = scheduler.job_rate_limiter
        # As of the last selection. Asking `get_free_jobs` now would miss jobs held back then and free to start since.
        return scheduler.workflow.dag.has_unfinished_queue_input_jobs() or len(limiter._jobs) >= limiter.max_jobs
    except (AttributeError, TypeError):  # another version: keep the timer
        return True
