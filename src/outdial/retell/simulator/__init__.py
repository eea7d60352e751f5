"""A simulator of Retell: serves its API, sends its webhooks, logs every request, and fails on demand."""

from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.in_process import SimulatorTransport
from outdial.retell.simulator.workspace import DueWebhook, SimulatedWorkspace

__all__ = ["DueWebhook", "SimulatedWorkspace", "SimulatorConfig", "SimulatorTransport"]
