"""Why a custom resource is not expanded, beyond a field that is wrong by itself.

    FieldError              a field is missing, of another type, or unknown
    ├── NotAdmitted         the kind's own webhook, or the API server, would refuse the object
    ├── MissingReference    it names an object that is not among those at hand
    └── NotExpanded         a controller would make something of it, and this expander does not know what
"""

from presage.manifests.fields import FieldError


class NotAdmitted(FieldError):
    """The kind's own webhook, or the API server, refuses the object: nothing would be made of it."""


class MissingReference(FieldError):
    """It names an object that is not among those at hand."""


class NotExpanded(FieldError):
    """A real controller honours this field; the expander does not, and says so instead of leaving it out."""
