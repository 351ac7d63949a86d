"""Event time of a live stream that runs faster than the wall clock.

    clock = StreamClock(event_origin=..., wall_origin=time.time(), speed=60)
    clock.now(time.time())      # event-time Unix seconds: what the stream has reached
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamClock:
    """Event time `event_origin` fell at wall time `wall_origin` (both Unix seconds); a wall second is `speed` event seconds."""

    event_origin: float
    wall_origin: float
    speed: float

    def now(self, wall: float) -> float:
        """The event time (Unix seconds) at wall time `wall`."""
        return self.event_origin + (wall - self.wall_origin) * self.speed

    def wall(self, event: float) -> float:
        """The wall time (Unix seconds) at which event time `event` is reached."""
        return self.wall_origin + (event - self.event_origin) / self.speed
