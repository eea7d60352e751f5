"""A component as Kubernetes objects: Deployment, Service, autoscaler, disruption budget and network policy."""

from outdial.host.manifests.components import PORT, ClusterComponent
from outdial.host.manifests.pod import Object, container, labels, volumes

# A stopping pod keeps serving until every node has removed it from the Service.
_LEAVE_S = 5
_MARGIN_S = 5
_BUSY_PERCENT = 80


def deployed(component: ClusterComponent, image: str, account: str) -> list[Object]:
    """Return the objects of one component: with a Service if it listens, with an autoscaler if it can grow."""
    objects = [_deployment(component, image, account)]
    if component.listens:
        port = {"name": "http", "port": 80, "targetPort": PORT}
        objects.append(_object("v1", "Service", component, {"selector": labels(component), "ports": [port]}))
    if component.max_pods > _replicas(component):
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _BUSY_PERCENT}}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": component.name},
            "minReplicas": _replicas(component),
            "maxReplicas": component.max_pods,
            "metrics": [{"type": "Resource", "resource": cpu}],
        }
        objects.append(_object("autoscaling/v2", "HorizontalPodAutoscaler", component, spec))
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": labels(component)}}
    objects.append(_object("policy/v1", "PodDisruptionBudget", component, budget))
    access = {
        "podSelector": {"matchLabels": labels(component)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": PORT}]}] if component.listens else [],
    }
    return [*objects, _object("networking.k8s.io/v1", "NetworkPolicy", component, access)]


def _replicas(component: ClusterComponent) -> int:
    # The autoscaler of Kubernetes does not scale up from zero.
    return max(1, component.min_pods)


def _deployment(component: ClusterComponent, image: str, account: str) -> Object:
    made = container(component, image)
    if component.listens:
        made["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_LEAVE_S)]}}}
    pod = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        # Kubernetes would set variables for Services named outdial-..., which look like our settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": component.drain_s + _LEAVE_S + _MARGIN_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(component)},
            }
        ],
        "containers": [made],
        "volumes": volumes(),
    }
    spec: Object = {
        "selector": {"matchLabels": labels(component)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels(component)}, "spec": pod},
    }
    if component.max_pods == _replicas(component):
        # With an autoscaler, leave the number to it: applying the file again must not reset it.
        spec = {"replicas": component.max_pods, **spec}
    return _object("apps/v1", "Deployment", component, spec)


def _object(version: str, kind: str, component: ClusterComponent, spec: Object) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": component.name, "labels": labels(component)},
        "spec": spec,
    }
