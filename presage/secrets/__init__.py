"""Secrets, keys and certificates: Vault in a cluster, OpenBao on a laptop, one API.

    vault           where Vault is and who asks: VaultSettings, connect
    transit         data keys, wrapped by a key that never leaves Vault
    pki             certificates, revocation, change of an authority without a gap
    operator        what Vault Secrets Operator would write into a Secret
    configuration   manifests/vault as types; changes compares it with a running Vault and applies it
    openbao         a real server as a process of this machine

Every refusal is a SecretsError (presage.secrets.errors): object, field, value, remedy.
"""
