"""Whether a canary is worse than the stable release: decided after any look, with stated error rates. Pure: data and clock are passed in.

    judge = Judge.start(rules.canary, percent=5, soak=timedelta(minutes=30), now=now)
    verdict = judge.observe(Increment(stable=Arm(...), canary=Arm(...)), now)
    verdict.kind                       "go on", "good" or "revert"
    Judge.resume(judge.evidence())     the same judge, from what a record holds

    counted     what was counted of an arm between two looks
    pairs       each request of the smaller arm beside its share of the larger one's, from the same moment
    wealth      bets against a claim: what they win says how little the claim is to be believed, at any time
    measures    failures, durations, risks, outcomes: what is compared and which claims are bet against
    judge       all of them, the soak, and the longest wait
    size        how many requests it takes

docs/judging.md says what that means for whoever releases.
"""

from presage.release.judging.counted import Arm, Increment
from presage.release.judging.judge import Judge, Verdict
from presage.release.judging.size import requests_needed

__all__ = ["Arm", "Increment", "Judge", "Verdict", "requests_needed"]
