"""The errors of evidence: one tree, whose messages say what to do.

EvidenceError
├── EvidenceNotFound
└── NoEvidenceFile
"""


class EvidenceError(Exception):
    """The base of all errors of evidence."""


class EvidenceNotFound(EvidenceError):
    """There is no such call, campaign or organization, or the caller may not see it."""

    def __init__(self, kind: str, id: object) -> None:
        super().__init__(f"{kind} {id} does not exist, or you may not see it")


class NoEvidenceFile(EvidenceError):
    """The file is not an evidence pack."""
