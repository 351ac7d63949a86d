"""manifests/vault compared with a real server, and made so: in one go, once, and again after somebody loosened something by hand."""

import pytest
from builders.openbao import DOMAIN, MANIFESTS, OpenBao

from presage.secrets.answers import delete, names, read, write
from presage.secrets.changes import apply, compare
from presage.secrets.configuration import read_configuration
from presage.secrets.differences import Action
from presage.secrets.errors import AccessRefused, ConfigurationRefused
from presage.secrets.trust import JwtTrust


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with OpenBao.started(tmp_path_factory.mktemp("openbao"), raft=False) as started:
        started.configure()
        yield started


@pytest.fixture(scope="module")
def root(server):
    return server.root()


@pytest.fixture
def compared(server, root):
    def changes(**options):
        trust = JwtTrust(public_keys=(server.issuer.public_pem,))
        return compare(root, read_configuration(MANIFESTS), **{"domain": DOMAIN, "trust": trust, **options})

    return changes


def pending(changes):
    return {change.object: change for change in changes if change.action is not Action.unchanged}


def test_an_empty_server_gets_everything_and_a_second_run_finds_nothing(own_server):
    root, wanted = own_server.root(), read_configuration(MANIFESTS)
    trust = JwtTrust(public_keys=(own_server.issuer.public_pem,))
    first = compare(root, wanted, domain=DOMAIN, trust=trust)
    assert {change.action for change in first} == {Action.create, Action.unchanged}  # the audit device comes with the server
    told = []
    assert apply(first, told.append) == told
    second = compare(root, wanted, domain=DOMAIN, trust=trust)
    assert [change.object for change in second] == [change.object for change in first]
    assert not pending(second)


def test_comparing_changes_nothing(own_server):
    trust = JwtTrust(public_keys=(own_server.issuer.public_pem,))
    compare(own_server.root(), read_configuration(MANIFESTS), domain=DOMAIN, trust=trust)
    assert "kv/" not in own_server.root().sys.list_mounted_secrets_engines()["data"]


GATEWAY, WORKLOAD, PUBLISHER = "role/pki-edge/gateway", "role/pki-mesh/workload", "login/jwt/pipelines.publisher"
PATHS = {
    GATEWAY: "pki-edge/roles/gateway", WORKLOAD: "pki-mesh/roles/workload", PUBLISHER: "auth/jwt/role/pipelines.publisher",
    "policy/release-open": "sys/policies/acl/release-open", "key/transit/releases": "transit/keys/releases/config", "crl/pki-edge": "pki-edge/config/crl",
    "mount/pki-edge": "sys/mounts/pki-edge/tune", "auth/jwt": "sys/auth/jwt/tune", "kv/kv": "kv/config",
}  # fmt: skip
LOOSENED = {
    "a role that issues any name": (GATEWAY, {"allow_any_name": True}, "allow_any_name: True → False"),
    "a role that issues a client": (GATEWAY, {"client_flag": True}, "client_flag: True → False"),
    "a role with a longer life": (WORKLOAD, {"max_ttl": "720h"}, "max_ttl: 2592000 → 86400"),
    "a role with another trust domain": (WORKLOAD, {"allowed_uri_sans": ["spiffe://*"]}, "allowed_uri_sans: spiffe://* → "),
    "a login for any audience": (PUBLISHER, {"bound_audiences": ["vault", "x"]}, "bound_audiences: vault, x → vault"),
    "a login of another account": (PUBLISHER, {"bound_subject": "system:serviceaccount:shop:checkout"}, "bound_subject: system:serviceaccount:shop"),
    "a login of several accounts": (PUBLISHER, {"bound_claims": {"iss": "x"}}, "bound_claims: "),
    "a login with another policy": (PUBLISHER, {"token_policies": ["release-open"]}, "token_policies: release-open → release-seal"),
    "a login that lives longer": (PUBLISHER, {"token_max_ttl": "24h"}, "token_max_ttl: 86400 → 600"),
    "a policy with one more path": ("policy/release-open", {"policy": 'path "kv/*" { capabilities = ["read"] }'}, "text"),
    "a key that may be deleted": ("key/transit/releases", {"deletion_allowed": True}, "deletion_allowed: True → False"),
    "a key that does not rotate": ("key/transit/releases", {"auto_rotate_period": "0"}, "auto_rotate_period: 0 → 7776000"),
    "no revocation lists": ("crl/pki-edge", {"disable": True}, "disable: True → False"),
    "lists that are not renewed": ("crl/pki-edge", {"auto_rebuild": False}, "auto_rebuild: False → True"),
    "a mount with a longer life": ("mount/pki-edge", {"max_lease_ttl": "100000h"}, "max_lease_ttl: 360000000 → 315360000"),
    "logins with a longer life": ("auth/jwt", {"max_lease_ttl": "100h"}, "max_lease_ttl: 360000 → 3600"),
    "fewer versions": ("kv/kv", {"max_versions": 2}, "max_versions: 2 → 10"),
}  # fmt: skip


@pytest.mark.parametrize("what", LOOSENED)
def test_what_somebody_changed_by_hand_is_found_field_by_field_and_put_right(root, compared, what):
    name, loosened, detail = LOOSENED[what]
    whole = read(root, PATHS[name]) if "/role" in PATHS[name] else {}  # a role is written as a whole
    write(root, PATHS[name], {**whole, **loosened})
    found = pending(compared())
    assert set(found) == {name}
    assert found[name].action is Action.update
    assert any(line.startswith(detail) for line in found[name].details)
    apply(list(found.values()))
    assert not pending(compared())


def test_other_keys_that_sign_tokens_are_a_change(server, compared, tmp_path):
    from presage.local.tokens import TokenIssuer

    other = JwtTrust(public_keys=(TokenIssuer.open(tmp_path / "other.key").public_pem,))
    assert set(pending(compared(trust=other))) == {"trust/jwt"}


def test_without_keys_those_that_are_there_stay(compared):
    assert not pending(compared(trust=None))


def test_without_keys_a_server_that_believes_none_is_refused_before_anything_is_made(own_server):
    with pytest.raises(ConfigurationRefused, match=r"auth/jwt believes no key yet, so nobody could log in. Give --jwt-keys FILE"):
        compare(own_server.root(), read_configuration(MANIFESTS), domain=DOMAIN)


def test_without_a_domain_it_is_asked_for(compared):
    with pytest.raises(ConfigurationRefused, match=r"role 'gateway' issues names of \$\(DOMAIN\), and no domain was given"):
        compared(domain="")


def test_another_domain_is_a_change_of_the_gateways_role_alone(compared):
    assert set(pending(compared(domain="staging.presage.example"))) == {"role/pki-edge/gateway"}


def test_strangers_in_our_mounts_are_reported_and_stay_until_pruned(root, compared):
    write(root, "auth/jwt/role/stranger", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["release-open"]})
    write(root, "pki-edge/roles/stranger", {"allow_any_name": True})
    write(root, "sys/policies/acl/left-over", {"policy": read(root, "sys/policies/acl/release-open")["policy"]})
    write(root, "sys/policies/acl/of-another-team", {"policy": 'path "x" { capabilities = ["read"] }'})
    write(root, "transit/keys/stranger", {})
    objects = {"login/jwt/stranger", "role/pki-edge/stranger", "policy/left-over", "key/transit/stranger"}

    found = pending(compared())
    assert set(found) == objects
    assert {change.action for change in found.values()} == {Action.unknown}
    apply(list(found.values()))
    assert set(pending(compared())) == objects

    apply(compared(prune=True))
    assert set(pending(compared(prune=True))) == {"key/transit/stranger"}  # what is wrapped by it would be lost
    assert "of-another-team" in names(root, "sys/policies/acl")
    write(root, "transit/keys/stranger/config", {"deletion_allowed": True})
    delete(root, "transit/keys/stranger")


def test_removals_come_last(root, compared):
    write(root, "auth/jwt/role/stranger", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]})
    changes = compared(prune=True)
    assert [changes[-1].object, changes[-1].action] == ["login/jwt/stranger", Action.remove]
    apply(changes)


def test_a_mount_of_another_type_stops_everything_before_anything_is_changed(own_server):
    root, wanted = own_server.root(), read_configuration(MANIFESTS)
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    changes = compare(root, wanted, domain=DOMAIN, trust=JwtTrust(public_keys=(own_server.issuer.public_pem,)))
    assert [change.details[0] for change in changes if change.action is Action.conflict] == ["version: 1 → 2"]
    with pytest.raises(ConfigurationRefused, match=r"mount/kv: version: 1 → 2; delete it by hand.* Nothing was changed"):
        apply(changes)
    assert "transit/" not in root.sys.list_mounted_secrets_engines()["data"]


def test_a_key_that_could_be_taken_out_is_a_conflict(own_server):
    root = own_server.root()
    root.sys.enable_secrets_engine("transit", path="transit")
    write(root, "transit/keys/releases", {"exportable": True})
    changes = compare(root, read_configuration(MANIFESTS), domain=DOMAIN, trust=JwtTrust(public_keys=(own_server.issuer.public_pem,)))
    conflict = next(change for change in changes if change.action is Action.conflict)
    assert conflict.object == "key/transit/releases"
    assert conflict.details[0] == "exportable: True → False"


def test_what_stopped_on_the_way_goes_on_from_there(own_server):
    wanted, trust = read_configuration(MANIFESTS), JwtTrust(public_keys=(own_server.issuer.public_pem,))
    changes = compare(own_server.root(), wanted, domain=DOMAIN, trust=trust)
    apply(changes[: len(changes) // 2])
    apply(compare(own_server.root(), wanted, domain=DOMAIN, trust=trust))
    assert not pending(compare(own_server.root(), wanted, domain=DOMAIN, trust=trust))


def test_an_audit_device_that_is_not_taken_through_the_api_is_reported_and_the_rest_is_done(own_server, tmp_path):
    own_server.stop()
    config = own_server.folder / "server.hcl"
    config.write_text(config.read_text().partition("\naudit ")[0])
    own_server.start()
    wanted, trust = read_configuration(MANIFESTS), JwtTrust(public_keys=(own_server.issuer.public_pem,))
    done = apply(compare(own_server.root(), wanted, domain=DOMAIN, trust=trust))
    refused = [change for change in done if change.action is Action.refused]
    assert [change.object for change in refused] == ["audit/stdout"]
    assert "OpenBao takes audit devices from its server's configuration" in refused[0].details[0]
    assert set(pending(compare(own_server.root(), wanted, domain=DOMAIN, trust=trust))) == {"audit/stdout"}


def test_the_rights_that_the_page_names_are_enough_and_read_no_secret(own_server):
    page = (MANIFESTS.parents[1] / "docs" / "secrets.md").read_text()
    root = own_server.root()
    write(root, "sys/policies/acl/operator", {"policy": page.partition("```hcl\n")[2].partition("```")[0]})
    operator = own_server.client(root.auth.token.create(policies=["operator"], ttl="10m")["auth"]["client_token"])
    wanted, trust = read_configuration(MANIFESTS), JwtTrust(public_keys=(own_server.issuer.public_pem,))
    apply(compare(operator, wanted, domain=DOMAIN, trust=trust))
    write(root, "auth/jwt/role/stranger", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]})
    apply(compare(operator, wanted, domain=DOMAIN, trust=trust, prune=True))
    assert not pending(compare(operator, wanted, domain=DOMAIN, trust=trust))
    write(root, "kv/data/presage/pipelines/release-signing", {"data": {"key.pem": "x"}})
    with pytest.raises(AccessRefused):
        read(operator, "kv/data/presage/pipelines/release-signing")
