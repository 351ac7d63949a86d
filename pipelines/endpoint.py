"""Submit a run to a Kubeflow Pipelines endpoint: the committed IR and the same arguments a local run gets.

In the cluster the state is a volume (`STATE_IN_CLUSTER`), and file sources are paths that its Pods see. `$PRESAGE_ENDPOINT_TOKEN`,
where set, is sent as the bearer token.
"""

import contextlib
import io
import os
import warnings
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pipelines.catalogue import find_pipeline
from pipelines.request import Request, ScoringRequest, new_run_id, pipeline_arguments
from presage.errors import RunFailed, UsageError

STATE_IN_CLUSTER = "/var/lib/presage"  # where pipelines mount the claim presage-state


def submit(request: Request | ScoringRequest, endpoint: str) -> dict[str, Any]:
    """{run_id, pipeline, status: submitted, endpoint, url}; run_id is the endpoint's.

    Raises UsageError on a URL that is none, RunFailed where nothing answers or the endpoint refuses.
    """
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise UsageError(f"--endpoint {endpoint!r} is no URL. Write http://HOST:PORT or https://HOST, as the Kubeflow Pipelines API is reached.")
    listed, name = find_pipeline(request.pipeline), f"{request.pipeline}-{new_run_id()}"
    arguments = pipeline_arguments(request, here=False) | {
        "state": STATE_IN_CLUSTER, "run_id": name, "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    run_id = _create_run(endpoint.rstrip("/"), str(listed.compiled), arguments, name)
    page = f"{endpoint.rstrip('/')}/#/runs/details/{run_id}"
    return {"run_id": run_id, "pipeline": request.pipeline, "status": "submitted", "endpoint": endpoint, "url": page}


def _create_run(endpoint: str, package: str, arguments: dict[str, Any], name: str) -> str:
    import kfp
    import kfp_server_api
    import urllib3

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the client prints links for notebooks
        warnings.simplefilter("ignore")
        try:
            client = kfp.Client(host=endpoint, existing_token=os.environ.get("PRESAGE_ENDPOINT_TOKEN"))
            run = client.create_run_from_pipeline_package(package, arguments=arguments, run_name=name, experiment_name="presage")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            fact = f"Nothing answers as Kubeflow Pipelines at {endpoint} ({type(error).__name__})."
            raise RunFailed(f"{fact} Check the address, or run here without --endpoint.") from error
        except kfp_server_api.ApiException as error:
            raise RunFailed(f"{endpoint} refused the run: HTTP {error.status} {error.reason}. Check the address and $PRESAGE_ENDPOINT_TOKEN.") from error
    return str(run.run_id)
