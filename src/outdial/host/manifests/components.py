"""The components that run in a cluster, and the resources that each one needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from outdial.functions.paths import HEALTH
from outdial.host.deployments.environment import worker_env
from outdial.host.deployments.secrets import SETTING as DEPLOYED_SECRETS_KEY
from outdial.host.manifests.references import CHECKS_TOKENS, SettingReferences, checks_of
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig
from outdial.settings import DialerSettings

PORT = 8080
# Launcher, gateway and zygote without workers: measured 125 MiB when idle.
HOST_MB = 192
# A standalone function before its first request: measured 46 MiB.
STANDALONE_MB = 64
# After this, the launcher kills a gateway that has not drained.
HOST_DRAIN_S = 30
# Requests, then background work.
STANDALONE_DRAIN_S = 20
# An import finishes its current batch of rows.
JOBS_DRAIN_S = 30
_LISTEN = ("--host", "0.0.0.0", "--port", str(PORT), "--behind-proxy")
# A DNS label (RFC 1035), short enough for the suffixes of Knative and Kubernetes.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterComponent:
    """Pods that run one command: `min_pods` to `max_pods` of them, each limited to `cores`.

    A component that `listens` is probed at the path `health`. One that does not has no port and no probes. `notes` are
    comment lines of its file.
    """

    name: str
    command: tuple[str, ...]
    references: SettingReferences
    min_pods: int
    max_pods: int
    cores: int
    memory_mb: int
    drain_s: int
    boot_s: float = 10.0
    listens: bool = True
    health: str = HEALTH
    notes: tuple[str, ...] = ()


def function_component(slug: str, config: FunctionConfig) -> ClusterComponent:
    """Return the component of one function: a pod takes the place of a worker. Raises BadConfig."""
    # Applies the same rules as for workers on a host.
    worker_env(slug, config, {}, {config.database_role: "postgresql://"}, region="")
    return ClusterComponent(
        name=object_name(slug),
        command=("outdial", "functions", "serve", "--alone", slug, *_LISTEN),
        references=SettingReferences(config.database_role, secrets=(*config.secrets, *checks_of([config]))),
        min_pods=config.min_workers,
        max_pods=config.max_workers,
        cores=1,
        memory_mb=STANDALONE_MB + config.memory_mb,
        drain_s=STANDALONE_DRAIN_S,
        boot_s=config.boot_timeout_s,
    )


def gateway_component(functions: Mapping[str, FunctionConfig]) -> ClusterComponent:
    """Return the hosts that serve all functions and accept deployments. Two of them, for availability."""
    configs = functions.values()
    secrets = [name for config in configs for name in config.secrets]
    return ClusterComponent(
        name="outdial-gateway",
        command=("outdial", "serve", *_LISTEN),
        references=SettingReferences(
            "outdial_host",
            roles=tuple(sorted({config.database_role for config in configs})),
            secrets=(DEPLOYED_SECRETS_KEY, *secrets, *checks_of(configs)),
        ),
        min_pods=2,
        max_pods=2,
        cores=1 + sum(config.max_workers for config in configs),
        memory_mb=HOST_MB + sum(config.max_workers * config.memory_mb for config in configs),
        drain_s=HOST_DRAIN_S,
        boot_s=max((config.boot_timeout_s for config in configs), default=10.0),
    )


def dialer_component() -> ClusterComponent:
    """Return the dialers. Two of them, for availability; each one waits for its requests to Retell before it exits."""
    return ClusterComponent(
        name="outdial-dialer",
        command=("outdial", "dialer"),
        references=SettingReferences(
            "outdial_dialer", roles=("outdial_webhook",), secrets=("RETELL_API_KEY*", "RETELL_ENCRYPTION_KEY")
        ),
        min_pods=2,
        max_pods=2,
        cores=1,
        memory_mb=256,
        drain_s=round(DialerSettings().request_timeout.total_seconds()) + 10,
        listens=False,
        notes=(
            "No probes: a dialer has no port. It exits when it cannot continue, and Kubernetes restarts it. The other",
            "dialers rescue calls that a stuck one has claimed.",
        ),
    )


def jobs_component() -> ClusterComponent:
    """Return the workers of background jobs: imports, exports, deletion of old data."""
    return ClusterComponent(
        name="outdial-jobs",
        command=("outdial", "jobs"),
        references=SettingReferences("outdial_jobs", secrets=("OUTDIAL_ERASURE_KEY",)),
        min_pods=1,
        max_pods=1,
        cores=1,
        memory_mb=256,
        drain_s=JOBS_DRAIN_S,
        listens=False,
        notes=("No probes: a worker has no port. When its heartbeat stops, another worker restarts its job.",),
    )


def studio_component() -> ClusterComponent:
    """Return the studio. On plain Postgres it also signs users in, with the login of outdial_auth."""
    return ClusterComponent(
        name="outdial-studio",
        command=("outdial", "studio", *_LISTEN),
        references=SettingReferences(
            "outdial_api",
            secrets=(
                *CHECKS_TOKENS,
                "OUTDIAL_STUDIO_SECRET",
                "OUTDIAL_ACCESS_TOKEN",
                "OUTDIAL_AUTH_DB_URL",
                "OUTDIAL_ERASURE_KEY",
                "RETELL_ENCRYPTION_KEY",
            ),
        ),
        min_pods=1,
        max_pods=1,
        cores=1,
        memory_mb=256,
        drain_s=STANDALONE_DRAIN_S,
        health="/health",
    )


def object_name(slug: str) -> str:
    """Return the Kubernetes name for a function. Raises BadConfig if its slug does not yield one."""
    name = slug.lower().replace("_", "-")
    if not _NAME.match(name):
        raise BadConfig(
            f"functions.{slug}: in a cluster a name has at most 48 letters, digits and -, and does not end with - or _"
        )
    return name
