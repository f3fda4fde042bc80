"""Asks the policies one after the other; the first that is not content decides (docs/policies.md, "Order")."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observer.errors import ObserverError
from observer.message import Submission
from policies.base import ALLOW, Allow, Drop, Fact, Facts, Policy, Reject, Verdict


class PolicyFailed(ObserverError):
    """A policy raised, or returned something that is no verdict: the message is not judged, so it is not delivered."""

    def __init__(self, policy: str, reason: str) -> None:
        super().__init__(f"policy {policy} {reason}")
        self.policy = policy


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the name of the policy that gave it; "" where every policy was content."""

    verdict: Verdict
    policy: str = ""


ALLOWED = Judgement(ALLOW)


class PolicyChain:
    """Policies in the order in which they are asked. Only those that override a stage are asked in it."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.names: tuple[str, ...] = tuple(policy.name for policy in policies)
        self.needs: frozenset[Fact] = frozenset().union(*(policy.needs for policy in policies))
        self._on_submit = [(p.name, p.on_submit) for p in policies if not _is(p.on_submit, Policy.on_submit)]
        self._on_deliver = [(p.name, p.on_deliver) for p in policies if not _is(p.on_deliver, Policy.on_deliver)]

    def on_submit(self, submission: Submission, facts: Facts) -> Judgement:
        """Judge a message as such, once. Raises PolicyFailed."""
        for name, judge in self._on_submit:
            verdict = _ask(name, judge, submission, facts)
            if verdict is not ALLOW and not isinstance(verdict, Allow):
                return Judgement(verdict, name)
        return ALLOWED

    def on_deliver(self, submission: Submission, recipient: str, facts: Facts) -> Judgement:
        """Judge whether one recipient may see the message. Raises PolicyFailed."""
        for name, judge in self._on_deliver:
            verdict = _ask(name, judge, submission, recipient, facts)
            if verdict is not ALLOW and not isinstance(verdict, Allow):
                return Judgement(verdict, name)
        return ALLOWED


def _is(stage: Callable[..., Verdict], default: Callable[..., Verdict]) -> bool:
    """Whether a policy's stage is the one that it inherits; a policy may also set it on itself alone."""
    return getattr(stage, "__func__", None) is default


def _ask(name: str, judge: Callable[..., Verdict], *what: object) -> Verdict:
    try:
        verdict = judge(*what)
    # A policy may be anybody's code and fail in any way; whatever it raises means "not judged", and must name it.
    except Exception as error:
        raise PolicyFailed(name, f"raised {type(error).__name__}") from error
    if verdict is not ALLOW and not isinstance(verdict, (Allow, Drop, Reject)):
        raise PolicyFailed(name, f"returned {type(verdict).__name__}, which is no verdict")
    return verdict
