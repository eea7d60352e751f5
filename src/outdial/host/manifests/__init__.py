"""Manifests that run Outdial in a cluster: Kubernetes objects, or Knative Services, which scale to zero."""

from outdial.host.manifests.cluster import ClusterTarget, ManifestTarget, manifests
from outdial.host.manifests.render import to_yaml

__all__ = ["ClusterTarget", "ManifestTarget", "manifests", "to_yaml"]
