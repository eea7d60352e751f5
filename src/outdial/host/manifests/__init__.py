"""Writes what runs Outdial in a cluster: objects of Kubernetes, or of Knative for functions that scale to zero."""

from outdial.host.manifests.cluster import ClusterTarget, ManifestTarget, manifests
from outdial.host.manifests.render import to_yaml

__all__ = ["ClusterTarget", "ManifestTarget", "manifests", "to_yaml"]
