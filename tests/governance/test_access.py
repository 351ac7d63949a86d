"""The access policy, compiled: what is written is allowed, everywhere it must be, and nothing else is."""

import json
import subprocess
import sys
from typing import Any

import jsonschema_rs
import pytest
import yaml

from presage.governance.access import AccessPolicy, compile_access, load_access_policy
from presage.manifests.render import manifests_folder

ROOT = manifests_folder().parent
GRPC = "/inference.GRPCInferenceService"
GENERATED = "manifests/base/platform/generated"


@pytest.fixture(scope="module")
def policy() -> AccessPolicy:
    return load_access_policy(ROOT / "policies" / "access.yaml")


@pytest.fixture(scope="module")
def files(policy) -> dict[str, str]:
    return compile_access(policy)


def objects(files: dict[str, str], kind: str, place: str = "") -> list[dict[str, Any]]:
    found = (yaml.safe_load(text) for name, text in sorted(files.items()) if name.startswith(f"{GENERATED}/{place}") and name.endswith(".yaml"))
    return [one for one in found if one["kind"] == kind]


def allowed(rules: list[dict[str, Any]], request: dict[str, Any]) -> bool:
    """Whether one rule holds for the request, as Istio reads it: a list means one of, several fields mean all of."""
    return any(
        (not rule.get("from") or any(request["principal"] in entry["source"]["principals"] for entry in rule["from"]))
        and any(_operation(entry["operation"], request) for entry in rule["to"])
        and all(request.get(condition["key"]) in condition["values"] for condition in rule.get("when", []))
        for rule in rules
    )


def _operation(operation: dict[str, Any], request: dict[str, Any]) -> bool:
    hosts, ports = operation.get("hosts"), operation.get("ports")
    return (
        request["method"] in operation["methods"] and request["path"] in operation["paths"]
        and (hosts is None or any(request["host"].startswith(host.removesuffix("*")) for host in hosts))
        and (ports is None or request["port"] in ports)
    )


def at_gateway(client: Any, namespace: str, call: str, **instead: Any) -> dict[str, Any]:
    method, path = call.split(" ")
    token = {"request.auth.claims[sub]": client.token.subject, "request.auth.audiences": client.token.audience}
    return {"principal": client.principal, "method": method, "path": path, "host": f"incident-{namespace}.presage.local", "port": "8443", **token, **instead}


def test_the_command_checks_what_is_committed():
    done = subprocess.run([sys.executable, "-m", "presage.cli", "policies", "render", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_policy_holds_to_the_schema_beside_it(files):
    schema = json.loads(files["policies/schemas/access.json"])
    document = yaml.safe_load((ROOT / "policies" / "access.yaml").read_text())
    validator = jsonschema_rs.validator_for(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    document["clients"][0]["may_also"] = ["everything"]
    assert not validator.is_valid(document)


def test_a_client_outside_may_call_at_the_gateway_what_is_written_and_nothing_else(policy, files):
    rules = [rule for found in objects(files, "AuthorizationPolicy") if found["metadata"]["namespace"] == "gateway" for rule in found["spec"]["rules"]]
    calls = {call: name for name, endpoint in policy.endpoints.items() for call in endpoint.calls}
    calls |= {"POST /v2/repository/models/incident/load": "", "GET /": ""}
    for client in (client for client in policy.clients if client.origin == "outside"):
        for domain, namespace in policy.domains.items():
            for call, endpoint in calls.items():
                assert allowed(rules, at_gateway(client, namespace, call)) == (endpoint in client.may and domain in client.domains), (client.name, call)


@pytest.mark.parametrize(
    "instead",
    [
        {"principal": "cluster.local/ns/clients/sa/status-page"},
        {"principal": "cluster.local/ns/clients/sa/nobody"},
        {"request.auth.claims[sub]": "status-page"},
        {"request.auth.claims[sub]": None},
        {"request.auth.audiences": "somebody-else"},
        {"host": "incident-predictor-models-network.presage.local"},
        {"host": "incident-models-elsewhere.presage.local"},
    ],
    ids=str,
)
def test_a_right_certificate_without_the_rest_is_refused(policy, files, instead):
    rules = [rule for found in objects(files, "AuthorizationPolicy") if found["metadata"]["namespace"] == "gateway" for rule in found["spec"]["rules"]]
    operators = policy.clients[0]
    assert allowed(rules, at_gateway(operators, "models-network", "POST /predict"))
    assert not allowed(rules, at_gateway(operators, "models-network", "POST /predict", **instead))


@pytest.mark.parametrize(
    ("domain", "caller", "call", "expected"),
    [
        ("network", ("cluster.local/ns/gateway/sa/presage-istio", "8080"), "POST /predict", True),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8080"), "POST /predict", True),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8080"), "GET /servers", False),
        ("network", ("cluster.local/ns/shop/sa/other", "8080"), "POST /predict", False),
        ("network", ("cluster.local/ns/clients/sa/operators", "8080"), "POST /predict", False),
        ("network", ("cluster.local/ns/gateway/sa/presage-istio", "8080"), "GET /metrics", False),
        ("network", ("", "9090"), "GET /metrics", True),
        ("network", ("", "9090"), "POST /predict", False),
        ("network", ("", "8080"), "GET /metrics", False),
        ("databases", ("cluster.local/ns/shop/sa/checkout", "8080"), "POST /predict", False),
        ("databases", ("cluster.local/ns/gateway/sa/presage-istio", "8080"), "POST /predict", True),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8081"), f"POST {GRPC}/ModelInfer", True),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8081"), f"POST {GRPC}/ModelMetadata", False),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8080"), f"POST {GRPC}/ModelInfer", False),
        ("network", ("cluster.local/ns/shop/sa/checkout", "8081"), "POST /predict", False),
        ("databases", ("cluster.local/ns/gateway/sa/presage-istio", "8081"), f"POST {GRPC}/RepositoryModelUnload", False),
    ],
)
def test_a_predictor_answers_who_is_written(files, domain, caller, call, expected):
    principal, port = caller
    rules = [rule for found in objects(files, "AuthorizationPolicy", domain) if found["metadata"]["namespace"] != "gateway" for rule in found["spec"]["rules"]]
    method, path = call.split(" ")
    assert allowed(rules, {"principal": principal, "method": method, "path": path, "host": "any", "port": port}) is expected


def test_packets_come_in_from_the_gateway_the_clients_in_the_mesh_and_prometheus(files):
    found = {one["metadata"]["name"]: one["spec"]["ingress"][0] for one in objects(files, "NetworkPolicy", "network")}
    sources = {name: [source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for source in rule["from"]] for name, rule in found.items()}
    assert sources == {"incident-clients": ["gateway", "shop"], "metrics": ["monitoring"]}
    assert {name: [port["port"] for port in rule["ports"]] for name, rule in found.items()} == {"incident-clients": [8080, 8081], "metrics": [9090, 15090]}


def test_each_client_of_a_domain_has_its_limit_by_its_identity(policy, files):
    (config,) = objects(files, "ConfigMap", "network")
    document = json.loads(config["data"]["limits.json"])
    assert document["schema"] == "presage.client-limits/v1"
    assert document["clients"]["spiffe://cluster.local/ns/shop/sa/checkout"] == {"requests_per_minute": 6000, "burst": 200}
    status_page = {"requests_per_minute": 60, "burst": 10, "requests_per_day": 40_000}
    assert document["clients"]["spiffe://cluster.local/ns/clients/sa/status-page"] == status_page
    assert set(document["clients"]) == {client.spiffe_id for client in policy.clients_of("network") if client.identity}
    (databases,) = objects(files, "ConfigMap", "databases")
    assert "checkout" not in databases["data"]["limits.json"]


def test_nobody_may_see_a_secret_or_change_a_model(files):
    rules = [rule for role in objects(files, "Role") for rule in role["rules"]]
    assert len(rules) > 10
    assert {resource for rule in rules for resource in rule["resources"]} & {"secrets", "*", "pods/exec", "serviceaccounts/token"} == set()
    changing = [(tuple(rule["resources"]), tuple(rule["verbs"])) for rule in rules if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert set(changing) == {(("pods",), ("delete",))}


def test_every_role_is_bound_to_its_groups_in_its_namespace(policy, files):
    bound = {(one["metadata"]["namespace"], one["roleRef"]["name"]): [subject["name"] for subject in one["subjects"]] for one in objects(files, "RoleBinding")}
    assert bound == {(namespace, people.name): list(people.groups) for people in policy.people for namespace in people.namespaces}
    assert set(bound) == {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in objects(files, "Role")}


def test_an_account_reads_its_own_secrets_and_no_other(files):
    roles = {role["name"]: role for role in yaml.safe_load(files["manifests/vault/generated/roles.yaml"])}
    assert set(roles) == {"models-network.incident", "models-databases.incident", "pipelines.publisher", "gateway.presage-istio"}
    assert roles["models-network.incident"]["bound_service_account"] == {"namespace": "models-network", "name": "incident"}
    assert roles["models-network.incident"]["policies"] == ["release-open", "models-network.incident"]
    assert roles["pipelines.publisher"]["policies"] == ["release-seal", "pipelines.publisher"]
    for name in roles:
        hcl = files[f"manifests/vault/generated/policies/{name}.hcl"]
        paths = [line.split('"')[1] for line in hcl.splitlines() if line.startswith("path")]
        shared = {"kv/data/presage/clients/revocations"} if name.endswith(".incident") else set()  # no secret: fingerprints that are refused
        assert shared <= set(paths)
        own = [path for path in paths if path not in shared]
        assert own and all(path.startswith(f"kv/data/presage/{name.split('.')[0]}/") or path == "pki-edge/issue/gateway" for path in own)


def test_the_operators_objects_ask_for_exactly_what_the_account_may_read(files):
    for found in objects(files, "VaultStaticSecret"):
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        (auth,) = [one for one in objects(files, "VaultAuth") if one["metadata"] == {"name": found["spec"]["vaultAuthRef"], "namespace": namespace}]
        hcl = files[f"manifests/vault/generated/policies/{auth['spec']['jwt']['role']}.hcl"]
        assert f'"kv/data/{found["spec"]["path"]}"' in hcl
        assert found["spec"]["path"] == ("presage/clients/revocations" if name == "client-revocations" else f"presage/{namespace}/{name}")


def test_lives_are_those_of_the_policy_and_within_what_vault_allows(policy, files):
    (certificate,) = objects(files, "VaultPKISecret")
    lives = round(policy.lives("gateway-certificate").total_seconds())
    assert (certificate["spec"]["ttl"], certificate["spec"]["expiryOffset"]) == (f"{lives}s", f"{lives // 3}s")
    vault = yaml.safe_load((ROOT / "manifests" / "vault" / "configuration.yaml").read_text())
    (edge,) = [mount for mount in vault["mounts"] if mount["path"] == "pki-edge"]
    most = {role["name"]: int(role["max_ttl"].removesuffix("d")) for role in edge["roles"]}
    assert policy.lives("gateway-certificate").days <= most["gateway"]
    assert max(client.certificate_lives.days for client in policy.clients if client.certificate_lives) <= most["client"]


def test_the_gateway_has_one_coarse_limit_above_every_clients_own(policy, files):
    (found,) = objects(files, "EnvoyFilter")
    bucket = found["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["token_bucket"]
    assert bucket == {"max_tokens": 3000, "tokens_per_fill": 3000, "fill_interval": "1s"}
    assert all(client.at_most.requests_per_minute / 60 <= bucket["max_tokens"] for client in policy.clients if client.at_most)


def test_every_compiled_file_says_why_and_where_it_comes_from(files):
    for name, text in files.items():
        if not name.endswith(".json"):
            assert text.startswith("# ") and "Compiled from policies/access.yaml" in text, name


def test_predictors_read_the_list_of_revoked_certificates_often_enough(policy, files):
    """Ten seconds are promised on the plane: the operator's look, the volume's, the program's."""
    found = [one for one in objects(files, "VaultStaticSecret") if one["metadata"]["name"] == "client-revocations"]
    assert {one["metadata"]["namespace"] for one in found} == set(policy.domains.values())
    assert {one["spec"]["refreshAfter"] for one in found} == {"2s"}
    assert {(one["spec"]["path"], one["spec"]["destination"]["name"]) for one in found} == {("presage/clients/revocations", "client-revocations")}
