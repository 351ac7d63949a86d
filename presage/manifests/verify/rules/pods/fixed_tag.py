"""An image is named so that tomorrow it is the same: never `latest`, never without a tag."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.images import Image
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/fixed-tag", severity=Severity.error, remedy="name the image by its digest, or at least by a fixed tag")
def fixed_tag(container: Container) -> Iterator[Flaw]:
    image = Image.parse(container.image)
    if not image.pinned and not image.unresolved and image.tag in ("", "latest"):
        yield container.flaw("image", f"is {container.image!r}, which has no fixed tag")
