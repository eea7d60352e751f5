"""What takes too long for a request: imports and exports, taken from a queue; and the clearing away of what is old."""

from outdial.jobs.worker import Worker

__all__ = ["Worker"]
