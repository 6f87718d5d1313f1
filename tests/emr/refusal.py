"""How the EMR says no: a status and an OperationOutcome."""

from typing import Any


class Refusal(Exception):  # noqa: N818 - an answer to a client, not a failure of this program
    """A request that is not carried out.

    Args:
        status: HTTP status.
        code: FHIR issue type code.
        text: in words, for ``diagnostics``.
        headers: further HTTP headers.
    """

    def __init__(
        self, status: int, code: str, text: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome of this refusal."""
        issue = {"severity": "error", "code": self.code, "diagnostics": str(self)}
        return {"resourceType": "OperationOutcome", "issue": [issue]}
