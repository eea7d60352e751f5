"""The errors of stored API keys: one tree, whose messages say what to do and never contain a key.

ProviderKeysError
├── InvalidKey
├── KeyUntested
├── WorkspaceTaken
├── KeyInEnvironment
├── KeyChangedMeanwhile
└── EncryptionKeyMissing
"""


class ProviderKeysError(Exception):
    """The base of all errors of stored API keys."""


class InvalidKey(ProviderKeysError):
    """The text is no key, or the provider does not accept it."""


class KeyUntested(ProviderKeysError):
    """The provider could not be asked about a key, so it is not stored."""


class WorkspaceTaken(ProviderKeysError):
    """Another account already calls with a key of the same workspace."""

    def __init__(self, workspace: str) -> None:
        name = f"the workspace {workspace}" if workspace else "the workspace of this key"
        super().__init__(f"another account already uses {name}: enter a key of another workspace, or remove that one")


class KeyInEnvironment(ProviderKeysError):
    """The account has a key in the environment of the dialers, which wins."""

    def __init__(self, setting: str, webhook_setting: str) -> None:
        super().__init__(
            f"the key of this account is set on the server, and that one wins: remove {setting} and {webhook_setting}"
            " there first"
        )


class KeyChangedMeanwhile(ProviderKeysError):
    """Someone else has entered or removed a key of the account at the same time."""

    def __init__(self) -> None:
        super().__init__("someone else has just changed the key of this account: reload the page and try again")


class EncryptionKeyMissing(ProviderKeysError):
    """No key of the environment can encrypt."""

    def __init__(self) -> None:
        super().__init__(
            "keys cannot be stored yet: set RETELL_ENCRYPTION_KEY for the studio, the dialers and the webhook function"
        )
