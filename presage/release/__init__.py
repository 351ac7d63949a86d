"""A release comes into service by commits, and goes by one.

    repository   one branch, changed a whole commit at a time, by compare-and-swap
    standing     which release is stable, canary, shadow in an overlay: read from it, written into it
    plan         what a tier asks for, and the next step from where a release stands: pure
    records      each step as a signed statement in policies/releases, chained
    steps        start, raise, promote, retire, revert, roll back: plan and standing made into commits
    judging/     whether the canary is worse: sequential tests, pure
    judge        watches a step that is live, and takes the next one or reverts
    sources/     what is live and what it does: the plane, Prometheus
    forge        pull requests in place of commits

Nothing is kept outside Git that a decision needs, but for what a judge has counted: losing that starts the step's soak again.
"""
