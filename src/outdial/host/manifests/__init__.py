"""Writes what runs Outdial in a cluster: objects of Kubernetes, or of Knative for functions that scale to zero."""

from outdial.host.manifests.cluster import Cluster, Target, manifests
from outdial.host.manifests.writing import to_yaml

__all__ = ["Cluster", "Target", "manifests", "to_yaml"]
