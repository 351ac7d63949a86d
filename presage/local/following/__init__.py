"""The plane follows a branch, as Argo CD does: what its newest commit has rendered is what runs.

    begun = begin(state, repository, "main", "local")       the commit's YAML, for a first plan
    begun.go_on(plan)                                        the branch from now on (python -m presage.local.following, kept by the supervisor)
    live(state, "models-network", commit)                    why a commit is not what runs yet; empty where it is

    commits     what a commit holds, read by Git; never the working tree
    judged      which applications of a commit are taken, which a policy refuses, which cannot be run: pure
    provenance  which application a workload or a route comes from
    follower    looks at the branch, moves the plan, puts back what somebody else changed
    health      what was applied and does not come up
    record      plane/following.json: the branch, its commit, each application's state
    liveness    whether a commit is live
    keeping     the supervisor's side: started, started again, ended

Applications are apart: one that is refused leaves the others alone, and what it ran before runs on. It is a process of its own, so that a slow Git or a
long policy never keeps the supervisor from its Pods.
"""

from typing import TYPE_CHECKING

from presage.local.following.begin import Begun, begin, stop_following
from presage.local.following.record import Application, Following, read_following

if TYPE_CHECKING:
    from presage.state import State

__all__ = ["Application", "Begun", "Following", "begin", "live", "read_following", "stop_following"]


def live(state: "State", application: str, commit: str) -> str:
    """Why `commit` (or a later one) is not yet what runs of an application; empty where it is. Raises StateError where a record is damaged."""
    from presage.local.following.liveness import live as found

    return found(state, application, commit)
