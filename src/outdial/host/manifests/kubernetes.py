"""A part as objects of Kubernetes itself: pods that are replaced one by one, found, scaled and kept apart."""

from outdial.host.manifests.components import PORT, ClusterComponent
from outdial.host.manifests.pod import Object, container, labels, volumes

# Until every node knows that a pod takes no more requests, it goes on answering.
_LEAVE_S = 5
_MARGIN_S = 5
_BUSY_PERCENT = 80


def deployed(part: ClusterComponent, image: str, account: str) -> list[Object]:
    """Return all objects of one part; a part that listens has a Service, one that may grow an autoscaler."""
    objects = [_deployment(part, image, account)]
    if part.listens:
        objects.append(_service(part))
    if part.most > _replicas(part):
        objects.append(_autoscaler(part))
    return [*objects, _disruption_budget(part), _network_policy(part)]


def _replicas(part: ClusterComponent) -> int:
    # An autoscaler of Kubernetes starts no first pod.
    return max(1, part.least)


def _deployment(part: ClusterComponent, image: str, account: str) -> Object:
    spec: Object = {
        "selector": {"matchLabels": labels(part)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels(part)}, "spec": _pod(part, image, account)},
    }
    if part.most == _replicas(part):
        # Otherwise the number is the autoscaler's, and applying the file again must not undo it.
        spec = {"replicas": part.most, **spec}
    return _object("apps/v1", "Deployment", part, spec)


def _pod(part: ClusterComponent, image: str, account: str) -> Object:
    made = container(part, image)
    if part.listens:
        made["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_S)]}}}
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        # The variables of a Service named outdial-... would look like settings of ours.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": part.drain_s + _LEAVE_S + _MARGIN_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(part)},
            }
        ],
        "containers": [made],
        "volumes": volumes(),
    }


def _service(part: ClusterComponent) -> Object:
    port = {"name": "http", "port": 80, "targetPort": PORT}
    return _object("v1", "Service", part, {"selector": labels(part), "ports": [port]})


def _autoscaler(part: ClusterComponent) -> Object:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _BUSY_PERCENT}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": part.name},
        "minReplicas": _replicas(part),
        "maxReplicas": part.most,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", part, spec)


def _disruption_budget(part: ClusterComponent) -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": labels(part)}}
    return _object("policy/v1", "PodDisruptionBudget", part, spec)


def _network_policy(part: ClusterComponent) -> Object:
    spec = {
        "podSelector": {"matchLabels": labels(part)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": PORT}]}] if part.listens else [],
    }
    return _object("networking.k8s.io/v1", "NetworkPolicy", part, spec)


def _object(version: str, kind: str, part: ClusterComponent, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": part.name, "labels": labels(part)}, "spec": spec}
