"""A Pod that does not speak to the API server holds no token for it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/no-api-token", severity=Severity.error, remedy="write automountServiceAccountToken: false")
def no_api_token(pod: Pod) -> Iterator[Flaw]:
    if pod.spec.get("automountServiceAccountToken") is not False:
        account = pod.overlay.find("ServiceAccount", pod.namespace, pod.account)
        if account is None or account.manifest.get("automountServiceAccountToken") is not False:
            yield pod.flaw("spec.automountServiceAccountToken", "is not false: the API server's token is mounted")
