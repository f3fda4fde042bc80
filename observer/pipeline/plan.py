"""A plan: everything that a batch will do, as `judge` decides it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from observer import topics
from observer.message import Message, Publication, Refusal, encode_refusal
from policies.chain import Judgement, PolicyFailed


@dataclass(slots=True)
class Plan:
    """What the later stages will do. An index is a submission's place in the batch."""

    messages: list[Message] = field(default_factory=list)
    """New ones, to be stored in this order."""
    known: list[Message] = field(default_factory=list)
    """Stored by an earlier try that did not end; their conversations are made sure of."""
    publications: list[Publication] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    """For each publication, the index of the submission that it comes from."""
    failed: dict[int, PolicyFailed] = field(default_factory=dict)
    """Submissions that could not be judged: index → why."""
    judgements: dict[int, Judgement] = field(default_factory=dict)
    """Of each submission that was judged."""
    repeated: int = 0
    """Submissions that are stored already."""
    refusals: list[Refusal] = field(default_factory=list)
    """What senders are told."""

    def publish(self, index: int, publications: Iterable[Publication]) -> None:
        """Add what submission `index` causes to be published."""
        for publication in publications:
            self.publications.append(publication)
            self.sources.append(index)

    def refuse(self, index: int, refusal: Refusal) -> None:
        """Add the answer that tells a sender why."""
        self.refusals.append(refusal)
        self.publish(index, (Publication(topics.refused(refusal.app, refusal.sender), encode_refusal(refusal)),))
