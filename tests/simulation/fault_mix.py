"""The faults of a run: what a provider and a network do, by chance."""

import random

from outdial.retell.simulator.faults import Fault, FaultKind


def faults(chance: random.Random) -> list[Fault]:
    """Return a random mix of what a provider and a network do."""
    every = [
        Fault(kind=FaultKind.drop_reply, probability=0.1),
        Fault(kind=FaultKind.hang_reply, probability=0.05),
        Fault(kind=FaultKind.fail_reply, probability=0.1),
        Fault(kind=FaultKind.garble_reply, probability=0.05),
        Fault(kind=FaultKind.drop_request, probability=0.1),
        Fault(kind=FaultKind.refuse, probability=0.1, status=503),
        Fault(kind=FaultKind.refuse, probability=0.15, status=429),
        Fault(kind=FaultKind.refuse, probability=0.1, status=500, operation="list-calls"),
        Fault(kind=FaultKind.refuse, probability=0.1, status=503, operation="get-call"),
        Fault(kind=FaultKind.drop_webhook, probability=0.25),
        Fault(kind=FaultKind.repeat_webhook, probability=0.25, delay_s=600),
        Fault(kind=FaultKind.reorder_webhook, probability=0.4, delay_s=120),
        Fault(kind=FaultKind.delay_webhook, probability=0.1, delay_s=900),
    ]
    return chance.sample(every, k=chance.randint(4, len(every)))
