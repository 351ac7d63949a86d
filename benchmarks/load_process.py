"""What every load generator's process does: one plan in, one core of its own, one result out."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Plan = dict[str, Any]


def run(generate: Callable[[Plan], Awaitable[dict[str, Any]]]) -> None:
    """Standard input's plan to standard output's result, on uvloop and on the core that the plan names."""
    import uvloop

    plan: Plan = json.load(sys.stdin)
    os.sched_setaffinity(0, {plan["core"]})

    async def result() -> dict[str, Any]:
        return await generate(plan)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(runner.run(result()), sys.stdout)
