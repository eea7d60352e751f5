"""The kinds of process that run in a cluster, and what each of them needs."""

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
# What launcher, gateway and zygote take beside the workers: measured 125 MiB at rest.
HOST_MB = 192
# What a function alone takes before it does anything: measured 46 MiB.
ALONE_MB = 64
# The launcher ends a gateway that has not drained by then.
HOST_DRAIN_S = 30
# Requests first, and then the work in the background.
ALONE_DRAIN_S = 20
# An import ends with the rows that it has at hand.
JOBS_DRAIN_S = 30
_LISTEN = ("--host", "0.0.0.0", "--port", str(PORT), "--behind-proxy")
# A label of DNS (RFC 1035), short enough for what Knative and Kubernetes append to it.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class ClusterComponent:
    """Pods of one kind: `command` as it is typed, `least` to `most` of them, each with `cores` to use at most.

    A part that `listens` answers at `health` while it is well; one that does not has no port, and nothing to probe.
    """

    name: str
    command: tuple[str, ...]
    references: SettingReferences
    least: int
    most: int
    cores: int
    memory_mb: int
    drain_s: int
    boot_s: float = 10.0
    listens: bool = True
    health: str = HEALTH
    notes: tuple[str, ...] = ()


def function_component(slug: str, config: FunctionConfig) -> ClusterComponent:
    """Return the pods of one function: what would be a worker on a host is a pod. Raises BadConfig."""
    # What no worker may have is refused here as well.
    worker_env(slug, config, {}, {config.database_role: "postgresql://"}, region="")
    return ClusterComponent(
        name=object_name(slug),
        command=("outdial", "functions", "serve", "--alone", slug, *_LISTEN),
        references=SettingReferences(config.database_role, secrets=(*config.secrets, *checks_of([config]))),
        least=config.min_workers,
        most=config.max_workers,
        cores=1,
        memory_mb=ALONE_MB + config.memory_mb,
        drain_s=ALONE_DRAIN_S,
        boot_s=config.boot_timeout_s,
    )


def gateway_component(functions: Mapping[str, FunctionConfig]) -> ClusterComponent:
    """Return the hosts that serve every function and take deployments, two for safety."""
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
        least=2,
        most=2,
        cores=1 + sum(config.max_workers for config in configs),
        memory_mb=HOST_MB + sum(config.max_workers * config.memory_mb for config in configs),
        drain_s=HOST_DRAIN_S,
        boot_s=max((config.boot_timeout_s for config in configs), default=10.0),
    )


def dialer_component() -> ClusterComponent:
    """Return the dialers, two for safety; on a signal each waits for the requests that it has sent to Retell."""
    return ClusterComponent(
        name="outdial-dialer",
        command=("outdial", "dialer"),
        references=SettingReferences("outdial_dialer", roles=("outdial_webhook",), secrets=("RETELL_API_KEY*",)),
        least=2,
        most=2,
        cores=1,
        memory_mb=256,
        drain_s=round(DialerSettings().request_timeout.total_seconds()) + 10,
        listens=False,
        notes=(
            "There is no probe: a dialer serves nothing that could be asked, ends when it cannot go on, and is then",
            "started again. Work that a stuck one has claimed is found again by the others.",
        ),
    )


def jobs_component() -> ClusterComponent:
    """Return the workers of background jobs: imports, exports, and clearing away what is old."""
    return ClusterComponent(
        name="outdial-jobs",
        command=("outdial", "jobs"),
        references=SettingReferences("outdial_jobs"),
        least=1,
        most=1,
        cores=1,
        memory_mb=256,
        drain_s=JOBS_DRAIN_S,
        listens=False,
        notes=("There is no probe: what a worker has begun is begun anew by another when it falls silent.",),
    )


def studio_component() -> ClusterComponent:
    """Return the studio's pods. On plain Postgres they sign people in as well, with the login of outdial_auth."""
    return ClusterComponent(
        name="outdial-studio",
        command=("outdial", "studio", *_LISTEN),
        references=SettingReferences(
            "outdial_api",
            secrets=(*CHECKS_TOKENS, "OUTDIAL_STUDIO_SECRET", "OUTDIAL_ACCESS_TOKEN", "OUTDIAL_AUTH_DB_URL"),
        ),
        least=1,
        most=1,
        cores=1,
        memory_mb=256,
        drain_s=ALONE_DRAIN_S,
        health="/health",
    )


def object_name(slug: str) -> str:
    """Return the name that a function's objects have; raise BadConfig for a slug that makes none."""
    name = slug.lower().replace("_", "-")
    if not _NAME.match(name):
        raise BadConfig(
            f"functions.{slug}: in a cluster a name has at most 48 letters, digits and -, and does not end in - or _"
        )
    return name
