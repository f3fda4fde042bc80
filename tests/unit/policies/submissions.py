"""Submissions for tests of policies: alice writes to bob, with whatever a test wants to be different."""

from typing import Any

from observer.message import Submission


def make_submission(body: dict[str, Any] | None = None, *, recipient: str = "bob", size: int = 20) -> Submission:
    """A submission of alice's in app demo."""
    return Submission(
        message_id="m-1",
        app="demo",
        sender="alice",
        recipient=recipient,
        body={"text": "hello"} if body is None else body,
        size=size,
    )
