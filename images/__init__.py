"""The images that a cluster runs, built and pushed on this machine: `python -m images` (docs/images.md).

Nothing of it is in the distribution or in an image.
"""

from presage.errors import PresageError


class ImageError(PresageError):
    """An image cannot be built, checked, pushed or run here."""
