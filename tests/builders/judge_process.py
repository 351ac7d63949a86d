"""A judge over simulated traffic; as a process of its own (`python -m builders.judge_process ROOT STATE KEY`) it can be killed.

Its clock is the number of looks, which lies beside what it has counted: started again it goes on from there.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from builders.traffic import Behaviour, Traffic

from presage.files import write_bytes
from presage.package.keys import Trust, read_key
from presage.release.judge import ReleaseJudge
from presage.release.repository import Repository
from presage.release.sources.counters import Counts
from presage.release.sources.source import Look
from presage.release.standing import Place
from presage.release.steps import Releasing

BEGAN = datetime(2026, 11, 25, 8, tzinfo=UTC)
PLACE = Place("production", "models-network", "incident")
LOOK = timedelta(minutes=2)


class World:
    """Where it runs: every step is live at once, but for what `sick` says."""

    def __init__(self, behaviour: Behaviour, seed: int = 1, sick: str = "") -> None:
        self.traffic, self.sick, self.looks = Traffic(Behaviour(), behaviour, seed, every=LOOK.total_seconds()), sick, 0

    def live(self, standing) -> str:
        return self.sick

    def capacity(self) -> int:
        return 3

    def bound(self, uri: str) -> str:
        return uri

    def begin(self, standing, now: datetime) -> None:
        pass

    def remember(self) -> dict:
        return {}

    def recall(self, document: dict) -> None:
        pass

    def look(self, standing, now: datetime) -> Look:
        self.looks += 1
        increment, _ = next(self.traffic.increments(standing.canary.percent, now))
        arms = (increment.stable, increment.canary)
        return Look(now, *(Counts(arm.requests, arm.failed, arm.seconds, arm.risks, {}, arm.decided, arm.wrong) for arm in arms))


def main(root: Path, state: Path, key_file: Path) -> int:
    key, clock = read_key(key_file), state / "looks"
    judge = ReleaseJudge(Releasing(Repository(root, "main"), PLACE, key, Trust.of([key.public])), World(Behaviour()), state)
    looks = int(clock.read_text()) if clock.exists() else 0
    print("begun", flush=True)
    while judge.tick(BEGAN + looks * LOOK).more:
        looks += 1
        write_bytes(clock, str(looks).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
