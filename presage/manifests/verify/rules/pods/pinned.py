"""An image is named by its digest: a tag can be moved."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.images import Image
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pods/pinned", severity=Severity.warning, release=Severity.error, remedy="publish the image and write its digest into manifests/images.lock.yaml")
def pinned(container: Container) -> Iterator[Flaw]:
    image = Image.parse(container.image)
    if not image.pinned:
        why = "is not published yet" if image.unresolved else "has no digest"
        yield container.flaw("image", f"is {container.image!r}, which {why}")
