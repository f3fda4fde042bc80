"""The options of the policies: what an operator gets who sets nothing, and everything off."""

from dataclasses import replace

from observer.app import policy_options
from observer.settings import PolicySettings

DEFAULTS = policy_options(PolicySettings())
ALL_OFF = replace(DEFAULTS, shape=None, rate_limit=None, ban=False, privacy=None, block=False)
