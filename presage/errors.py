"""Every error a person can meet, as one tree.

    PresageError                 exit 1: a finding or a refused input
    ├── UsageError               exit 2: the command line itself is wrong
    ├── InputError               a file, column, cell, label or setting that cannot be used
    │   └── RowsRefused          too few rows were left after quarantine
    ├── StateError               the state directory cannot be used (full, locked, foreign)
    ├── RunFailed                a pipeline step failed; carries the step's own sentence
    ├── ArtifactRefused          a package or release that may not be loaded (one `reason` code a cause)
    ├── SecretsError             Vault is out, sealed, or does not let this account have it (presage.secrets.errors)
    ├── StorageError             a folder or object store that cannot be used (presage.storage)
    ├── RequestRefused           a request outside the contract; carries an HTTP status (4xx)
    └── PlaneError               something the laptop plane cannot start, honour or find

A message says what is wrong, with the value and the place, and what to do. Subclasses in the rooms take facts
and build the sentence; the CLI prints `message` alone, never a traceback.
"""


LONGEST = 1500  # characters of a message


class PresageError(Exception):
    """Base of the tree. `message` is one or two sentences: fact, then remedy; a huge value in its middle is cut."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        if len(message) > LONGEST:
            half = LONGEST // 2
            message = f"{message[:half]} … {message[-half:]}"
        super().__init__(message)
        self.message = message


class UsageError(PresageError):
    """The command line itself is wrong: an unknown option value, options that exclude each other."""

    exit_code = 2


class InputError(PresageError):
    """What was given cannot be used: a missing file, a wrong column, a cell that is no number, no labels."""


class RowsRefused(InputError):
    """Validation left too little to go on; the quarantine file holds the refused rows with their reasons."""


class StateError(PresageError):
    """The state directory cannot be used: full disk, foreign owner, another plane in it."""


class RunFailed(PresageError):
    """A pipeline step failed. The message is the step's own sentence, not the orchestrator's."""


class ArtifactRefused(PresageError):
    """A package or release that may not be loaded.

    `reason` is a short stable code (`size`, `format`, `digest`, `signature`, `contract`, `approval`, `revoked`,
    `encryption`, `file-digest`): the gate says it in its termination message (where it adds `store`, `fault`).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RequestRefused(PresageError):
    """A request outside the contract. `status` is the HTTP status (4xx, or 503 and 504 where the path cannot answer);
    `reason` a short stable code; `retry_after`: whole seconds after which to ask again, None where that would not help."""

    def __init__(self, status: int, reason: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class PlaneError(PresageError):
    """The laptop plane cannot start, honour or find something."""
