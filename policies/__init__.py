"""The policies, and their order (docs/policies.md)."""

from dataclasses import dataclass

from policies.ban import BanPolicy
from policies.base import Policy, Privacy
from policies.block import BlockPolicy
from policies.chain import PolicyChain
from policies.extra import ExtraOptions, check_names, load_extra
from policies.privacy import PrivacyPolicy
from policies.rate_limit import RateLimitOptions, RateLimitPolicy
from policies.shape import ShapeOptions, ShapePolicy

ORDER = ("shape", "rate_limit", "ban", "privacy", "extra", "block")
"""Cheapest first, the third-party ones (`extra`) behind our own, and `block` last of all.

Whoever is blocked must not learn of it, so what a sender is told may not depend on a block: every policy that might
refuse is asked before the one that drops in silence.
"""


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Which policies are on, and their limits. None or False switches a policy off."""

    shape: ShapeOptions | None
    rate_limit: RateLimitOptions | None
    ban: bool
    privacy: Privacy | None
    """What holds for users who have not chosen."""
    extra: ExtraOptions
    block: bool


def build_policies(options: PolicyOptions) -> PolicyChain:
    """The chain of all policies that are on.

    Raises ConfigError for a third-party policy that cannot be had, or that bears the name of another.
    """
    built: dict[str, list[Policy]] = {
        "shape": [ShapePolicy(options.shape)] if options.shape else [],
        "rate_limit": [RateLimitPolicy(options.rate_limit)] if options.rate_limit else [],
        "ban": [BanPolicy()] if options.ban else [],
        "privacy": [PrivacyPolicy(options.privacy)] if options.privacy else [],
        "extra": load_extra(options.extra),
        "block": [BlockPolicy()] if options.block else [],
    }
    policies = [policy for name in ORDER for policy in built[name]]
    check_names(policies)
    return PolicyChain(policies)
