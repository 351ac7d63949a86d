"""What an Application's manifests are made of is named whole: `.` for a rendered folder; with an overlay, its base and components too."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import PATHS, folder_of, is_argo
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/generate-paths", severity=Severity.error, remedy="write . for a rendered folder, or name base and components", kinds=("Application",))
def generate_paths(application: Written) -> Iterator[Flaw]:
    if not is_argo(application) or PATHS not in application.annotations:
        return
    named = [path.strip() for path in application.annotations[PATHS].split(";")]
    if folder_of(application)[1]:
        missing = [] if "." in named else ["."]
    else:
        missing = [part for part in ("base", "components") if not any(part in path.split("/") for path in named)]
    if missing:
        yield application.flaw(f"metadata.annotations[{PATHS}]", f"leaves {' and '.join(missing)} out: a change there is not seen")
