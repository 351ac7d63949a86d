"""Where a judge sees what is live and what it does.

    counters     what a predictor's /metrics says, and what was added since the last look
    since        what was added since the last look, arm by arm; outlives the process
    outcomes     any of these, with outcomes that became known
    plane        the laptop plane: its record, and each Pod's /metrics
    prometheus   a cluster: Prometheus over the predictors' metrics
"""
