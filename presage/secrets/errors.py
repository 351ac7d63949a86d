"""What can go wrong with secrets, as one tree.

    SecretsError                 a PresageError: exit 1
    ├── VaultOut                 nobody answers at the address, or somebody whose certificate is not trusted
    ├── VaultSealed              it answers, and is sealed or not initialised: an operator must unseal it
    ├── LoginRefused             it does not take the account's token: expired, other audience, other account, no such role
    ├── AccessRefused            it knows who asks, and does not allow this path
    ├── SecretMissing            there is nothing at the path, or it lacks a key
    └── ConfigurationRefused     a file of manifests/vault, a setting or a request that cannot be used

None of them ever holds a secret: messages name paths, roles and claims, no token and no value that Vault returned.
"""

from presage.errors import PresageError


class SecretsError(PresageError):
    """Base of the tree."""


class VaultOut(SecretsError):
    """No connection, no answer in time, or no trust in who answers."""


class VaultSealed(SecretsError):
    """It cannot read its own storage yet."""


class LoginRefused(SecretsError):
    """The account's token was not exchanged for one of Vault's."""


class AccessRefused(SecretsError):
    """403: a policy that is missing, or a token of Vault that is over."""


class SecretMissing(SecretsError):
    """404, a deleted version, or a key that the secret does not hold."""


class ConfigurationRefused(SecretsError):
    """What was asked makes no sense: to us, or to Vault (400)."""
