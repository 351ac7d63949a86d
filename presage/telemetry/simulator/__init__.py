"""A believable fleet: servers, what they depend on, their rhythm and noise, what befalls them, and the metrics that follow.

Everything is a function of the seed and the minute, computed a day at a time, so that a training period, a live stream and
a stream that starts again somewhere all see the same data. In the order of a day:

    fleet      servers, technical domains, who depends on whom, each server's own traits
    rhythm     activity by time of day and day of week
    noise      what wanders, with memory
    schedule   incidents of a week, with causes; lookalikes: harmless episodes of a day
    drives     what episodes do to a server, minute by minute
    physics    from activity and drives to metrics, along the dependencies
    faults     readings that a collector lost or garbled
    source     a Telemetry of some days; stream: the same fleet, live
"""
