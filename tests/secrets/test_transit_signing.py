"""Approvals under a key that never leaves Vault: a real transit key signs, the same verifier checks."""

import pytest
from builders.approvals import NOW, change_yaml, governed

from presage.governance.approving import approve
from presage.package.approvals import check
from presage.secrets.answers import write
from presage.secrets.errors import ConfigurationRefused
from presage.secrets.transit import TransitSigner


def test_an_approval_is_signed_in_vault_and_counts_like_any_other(openbao, tmp_path):
    write(openbao.root(), "transit/keys/compliance", {"type": "ecdsa-p256"})
    signer = TransitSigner(openbao.root(), "compliance")
    made = governed(tmp_path)
    change_yaml(
        made.root / "policies" / "approvals.yaml",
        lambda document: [person.update(key=signer.public_pem.decode()) for person in document["people"] if person["id"] == "auditor"],
    )
    approved = approve(made.root, made.published.reference, made.made.store, made.trust, role="compliance", signer=signer, now=NOW)
    assert approved.approval.approver == "auditor" and "nobody has approved it as model-risk" in approved.lacking
    made.sign(made.approval("risk-officer"))
    assert {one.approval.approver for one in check(made.policies.approvals, made.subject(), NOW)} == {"auditor", "risk-officer"}


def test_a_key_of_another_kind_is_refused_by_name(openbao):
    write(openbao.root(), "transit/keys/sealing", {"type": "aes256-gcm96"})
    with pytest.raises(ConfigurationRefused, match=r"type 'aes256-gcm96'. Use one of type ecdsa-p256"):
        _ = TransitSigner(openbao.root(), "sealing").id
