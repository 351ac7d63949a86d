"""Where a judge sees what is live and what it does.

    counters     what a predictor's /metrics says, and what was added since the last look
    plane        the laptop plane: its record, and each Pod's /metrics
    prometheus   a cluster: Prometheus over the predictors' metrics
"""
