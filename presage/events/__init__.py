"""The event log: what happened, in order, kept until nobody needs it any more."""
