"""A Retell of our own: speaks its API, sends its webhooks, keeps a ledger, and fails on demand."""

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.world import Webhook, World

__all__ = ["SimulatorConfig", "SimulatorTransport", "Webhook", "World"]
