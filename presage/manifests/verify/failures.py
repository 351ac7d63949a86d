"""What could not be expanded, as a flaw."""

from presage.manifests.fields import FieldError
from presage.manifests.verify.findings import Flaw
from presage.manifests.verify.subjects import Written


def flaw_of(written: Written, error: FieldError) -> Flaw:
    """The expander's sentence, which holds its own remedy. It may be about another object than the one that was expanded (a runtime, a setting)."""
    place = f"{written.place}: {error.place}" if written.place and not error.place.startswith(f"{written.place}: ") else error.place
    return Flaw(place, error.path, error.problem.rstrip("."))
