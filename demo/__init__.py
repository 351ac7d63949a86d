"""`make demo`: what presage promises, shown in five minutes on real processes, each claim beside its evidence.

    python -m demo [--fast] [--keep FOLDER] [--recording FOLDER]

A repository of its own (this checkout's policies and manifests, with soaks of seconds and one approver), a state directory of its own, one small model
trained for it. Then six chapters; the first claim that does not hold ends it, with exit code 1. What was claimed, and what proves it, becomes a page.

    stage       the folder, the repository and the plane that all chapters act on
    callers     somebody who asks all the time, through the gateway, and counts
    planted     releases that somebody gets wrong: worse, unapproved, tampered with
    chapters/   what is shown
    narration   how it is told, and what is kept of it
    page        the record as HTML
    recording   the terminal as an asciicast and as a picture
"""
