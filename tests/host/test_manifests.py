"""Manifests match the published schemas and restrict what containers can do and see."""

import inspect
import random
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.knative_serving.serving.v1 import Service as KnativeService
from pydantic import ValidationError

from outdial.functions import server
from outdial.host.deployments.environment import worker_env
from outdial.host.gateway.launcher import GatewayLauncher
from outdial.host.manifests import ClusterTarget, ManifestTarget, manifests, to_yaml
from outdial.host.manifests.components import HOST_DRAIN_S, STANDALONE_DRAIN_S
from outdial.host.manifests.references import secret_of
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig
from outdial.settings import DialerSettings
from outdial.stack.dev import JOBS_GRACE_S
from tests.support.clusters import Object, environment_in_cluster

FUNCTIONS = {
    "retell-webhook": FunctionConfig(
        verify_jwt=False,
        secrets=("RETELL_WEBHOOK_SECRET*", "RETELL_WEBHOOK_ACCEPT_PLAIN_SECRET", "OUTDIAL_RECONCILE_AFTER"),
        database_role="outdial_webhook",
        min_workers=1,
        max_workers=4,
        concurrency=512,
    ),
    "campaign-trigger": FunctionConfig(
        verify_jwt=False, secrets=("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_JWT_SECRET")
    ),
    "Hello_World": FunctionConfig(secrets=("GREETING",), max_workers=1, memory_mb=128, wall_clock_s=30.5),
    "switched-off": FunctionConfig(enabled=False),
}
TARGETS: list[ManifestTarget] = ["knative", "kubernetes"]
OLDEST, NEWEST = "1.30", "1.37"
ALLOWED_BY_KNATIVE = {
    "serviceAccountName", "enableServiceLinks", "containerConcurrency", "timeoutSeconds", "containers", "volumes",
    "imagePullSecrets",
}  # fmt: skip


def made(target: ManifestTarget, **options: Any) -> dict[str, list[Object]]:
    files = manifests(FUNCTIONS, ClusterTarget(target=target, image="registry.example.com/outdial:1.2.3", **options))
    return {file.name: list(file.objects) for file in files}


def every(target: ManifestTarget, **options: Any) -> list[Object]:
    return [each for objects in made(target, **options).values() for each in objects]


def only(objects: list[Object], kind: str) -> Object:
    [found] = [each for each in objects if each["kind"] == kind]
    return found


def pod_specs(target: ManifestTarget) -> Iterator[tuple[str, Object]]:
    for each in every(target, with_studio=True):
        if "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def container_of(name: str, target: ManifestTarget) -> Object:
    [container] = dict(pod_specs(target))[name]["containers"]
    assert isinstance(container, dict)
    return container


def check_knative(service: Object) -> None:
    """Reject fields that the CRD does not have: the model drops them."""
    assert KnativeService.model_validate(service, strict=True).model_dump(by_alias=True, exclude_unset=True) == service
    template = service["spec"]["template"]
    # The schema has fields that Knative rejects unless an operator enables them (Knative docs, "Feature flags").
    assert template["spec"].keys() <= ALLOWED_BY_KNATIVE
    # Knative passes its pod spec to Kubernetes without its own two fields.
    spec = {
        key: value for key, value in template["spec"].items() if key not in ("containerConcurrency", "timeoutSeconds")
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": spec}
    kubernetes_validate.validate(pod, NEWEST, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("target", TARGETS)
def test_every_object_matches_the_published_schemas(target: ManifestTarget, version: str) -> None:
    for each in every(target, environment="staging", with_studio=True):
        if each["apiVersion"] == "serving.knative.dev/v1":
            check_knative(each)
        else:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_reject_unknown_fields() -> None:
    deployment = only(made("kubernetes")["outdial-dialer"], "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsNobody"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)

    [service] = made("knative")["retell-webhook"]
    service["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 40
    with pytest.raises(AssertionError):
        check_knative(service)
    service["spec"]["template"]["spec"]["containerConcurrency"] = "many"
    with pytest.raises(ValidationError):
        check_knative(service)


def test_each_enabled_function_and_each_process_has_a_file() -> None:
    names = [
        "service-account",
        "hello-world",
        "campaign-trigger",
        "retell-webhook",
        "outdial-gateway",
        "outdial-dialer",
    ]
    for target in TARGETS:
        assert list(made(target)) == names
        assert list(made(target, with_studio=True)) == [*names, "outdial-studio", "outdial-jobs"]


def test_a_function_becomes_a_knative_service_with_its_limits() -> None:
    [service] = made("knative")["retell-webhook"]
    template = service["spec"]["template"]

    assert template["spec"]["containerConcurrency"] == 512
    assert template["spec"]["timeoutSeconds"] == 300
    assert template["metadata"]["annotations"] == {
        "autoscaling.knative.dev/min-scale": "1",
        "autoscaling.knative.dev/max-scale": "4",
        "autoscaling.knative.dev/target": "512",
        "autoscaling.knative.dev/target-utilization-percentage": "70",
    }
    [small] = made("knative")["hello-world"]
    assert small["spec"]["template"]["spec"]["timeoutSeconds"] == 31


def test_a_function_becomes_a_deployment_that_scales_within_its_limits() -> None:
    objects = made("kubernetes")["retell-webhook"]
    autoscaler, deployment = only(objects, "HorizontalPodAutoscaler"), only(objects, "Deployment")

    assert [each["kind"] for each in objects] == [
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
    ]  # fmt: skip
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (1, 4)
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]


def test_a_function_of_one_worker_has_no_autoscaler() -> None:
    objects = made("kubernetes")["hello-world"]

    assert only(objects, "Deployment")["spec"]["replicas"] == 1
    assert "HorizontalPodAutoscaler" not in {each["kind"] for each in objects}


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_has_memory_for_its_workers_and_the_host(target: ManifestTarget) -> None:
    small, large = container_of("hello-world", target), container_of("campaign-trigger", target)

    difference = mebibytes(large["resources"]["limits"]["memory"]) - mebibytes(small["resources"]["limits"]["memory"])
    assert difference == FUNCTIONS["campaign-trigger"].memory_mb - FUNCTIONS["Hello_World"].memory_mb
    assert mebibytes(small["resources"]["limits"]["memory"]) > 128
    gateway = mebibytes(container_of("outdial-gateway", target)["resources"]["limits"]["memory"])
    assert gateway > 4 * 256 + 2 * 256 + 128


def mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


@pytest.mark.parametrize("target", TARGETS)
def test_selectors_match_only_their_own_component(target: ManifestTarget) -> None:
    for each in every(target):
        spec = each.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector"))
        if selector is not None:
            assert selector.get("matchLabels", selector)["app.kubernetes.io/component"] == each["metadata"]["name"]
        if "template" in spec:
            labels = spec["template"]["metadata"]["labels"]
            assert labels["app.kubernetes.io/component"] == each["metadata"]["name"]


@pytest.mark.parametrize("target", TARGETS)
def test_containers_meet_the_restricted_pod_security_standard(target: ManifestTarget) -> None:
    for name, spec in pod_specs(target):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["runAsNonRoot"] is True, name
            assert context["runAsUser"] > 0
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("target", TARGETS)
def test_no_pod_gets_a_cluster_token(target: ManifestTarget) -> None:
    [account] = made(target)["service-account"]

    assert account["automountServiceAccountToken"] is False
    for _, spec in pod_specs(target):
        assert spec["serviceAccountName"] == account["metadata"]["name"]


@pytest.mark.parametrize("target", TARGETS)
def test_manifests_reference_settings_and_never_contain_values(target: ManifestTarget) -> None:
    for _, spec in pod_specs(target):
        for container in spec["containers"]:
            assert all(variable.keys() == {"name", "valueFrom"} for variable in container["env"])
            assert all(variable["valueFrom"].keys() == {"secretKeyRef"} for variable in container["env"])


STORED = {
    "outdial": {
        "OUTDIAL_API_DB_URL": "postgresql://outdial_api:a@db/x",
        "OUTDIAL_WEBHOOK_DB_URL": "postgresql://outdial_webhook:b@db/x",
        "OUTDIAL_DIALER_DB_URL": "postgresql://outdial_dialer:c@db/x",
        "OUTDIAL_HOST_DB_URL": "postgresql://outdial_host:d@db/x",
        "SUPABASE_DB_URL": "postgresql://postgres:owner@db/x",
        "OUTDIAL_SECRETS_KEY": "of deployed secrets",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        "SUPABASE_JWT_SECRET": "jwt",
        "OUTDIAL_RECONCILE_AFTER": "90",
        "GREETING": "hello",
        "UNRELATED": "of nobody's concern",
    },
    "outdial-retell-webhook-secret": {"RETELL_WEBHOOK_SECRET": "key", "RETELL_WEBHOOK_SECRET_ACME": "acme"},
    "outdial-retell-api-key": {"RETELL_API_KEY": "dial"},
}
SETTINGS = {"SUPABASE_URL": "https://example.com", "SUPABASE_ANON_KEY": "anon"}


def environment_of(container: Object) -> dict[str, str]:
    return environment_in_cluster(container, STORED, SETTINGS)


def worker_env_in(slug: str, settings: Mapping[str, str]) -> dict[str, str]:
    roles = ("outdial_api", "outdial_webhook")
    urls = {role: settings[f"{role.upper()}_DB_URL"] for role in roles if f"{role.upper()}_DB_URL" in settings}
    return worker_env(slug, FUNCTIONS[slug], settings, urls, region="eu-central-1")


EVERYTHING = {name: value for stored in (*STORED.values(), SETTINGS) for name, value in stored.items()}
NOT_OF_A_POD = {"PATH", "LANG", "TZ", "SB_REGION", "SUPABASE_FUNCTION_SLUG"}


@pytest.mark.parametrize("slug", ["retell-webhook", "campaign-trigger"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_function_has_the_same_environment_in_a_pod_as_on_a_host(slug: str, target: ManifestTarget) -> None:
    on_a_host = worker_env_in(slug, EVERYTHING)

    in_its_pod = environment_of(container_of(slug, target))

    assert in_its_pod == {name: value for name, value in on_a_host.items() if name not in NOT_OF_A_POD}


@pytest.mark.parametrize("target", TARGETS)
def test_a_pod_that_checks_tokens_has_the_keys(target: ManifestTarget) -> None:
    found = environment_of(container_of("hello-world", target))

    assert found.keys() - worker_env_in("Hello_World", EVERYTHING).keys() == {
        "SUPABASE_JWT_SECRET", "SUPABASE_SERVICE_ROLE_KEY",
    }  # fmt: skip


@pytest.mark.parametrize("slug", ["retell-webhook", "campaign-trigger", "Hello_World"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_gateway_in_a_cluster_passes_the_same_environment_to_workers(slug: str, target: ManifestTarget) -> None:
    settings = environment_of(container_of("outdial-gateway", target))

    assert worker_env_in(slug, settings) == worker_env_in(slug, EVERYTHING)
    assert settings["SUPABASE_DB_URL"] == EVERYTHING["OUTDIAL_HOST_DB_URL"]
    assert "OUTDIAL_SECRETS_KEY" in settings


@pytest.mark.parametrize("target", TARGETS)
def test_a_dialer_has_its_own_logins_and_the_keys_of_retell(target: ManifestTarget) -> None:
    assert environment_of(container_of("outdial-dialer", target)) == {
        **SETTINGS,
        "SUPABASE_DB_URL": STORED["outdial"]["OUTDIAL_DIALER_DB_URL"],
        "OUTDIAL_WEBHOOK_DB_URL": STORED["outdial"]["OUTDIAL_WEBHOOK_DB_URL"],
        "RETELL_API_KEY": "dial",
    }


def test_the_comments_of_a_file_list_every_key_it_references() -> None:
    for file in manifests(FUNCTIONS, ClusterTarget(target="kubernetes", image="outdial:1")):
        told = "\n".join(file.notes)
        for each in file.objects:
            if each["kind"] == "Deployment":
                [container] = each["spec"]["template"]["spec"]["containers"]
                keys = {variable["valueFrom"]["secretKeyRef"]["key"] for variable in container["env"]}
                secrets = {source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source}
                assert {name for name in keys | secrets if name not in told} == set()


def test_a_pattern_gets_its_own_secret() -> None:
    assert secret_of("RETELL_WEBHOOK_SECRET*") == "outdial-retell-webhook-secret"
    assert secret_of("STRIPE_*") == "outdial-stripe"


def test_the_grace_period_covers_the_drain() -> None:
    launcher = inspect.signature(GatewayLauncher.__init__).parameters["grace_s"].default
    assert launcher == HOST_DRAIN_S
    assert STANDALONE_DRAIN_S == 2 * server._DRAIN_S
    drains = {
        "outdial-gateway": HOST_DRAIN_S,
        "outdial-dialer": DialerSettings().request_timeout.total_seconds(),
        "outdial-jobs": JOBS_GRACE_S,
    }
    for name, spec in pod_specs("kubernetes"):
        [container] = spec["containers"]
        drain = drains.get(name, STANDALONE_DRAIN_S)
        if name not in ("outdial-dialer", "outdial-jobs"):
            program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
            assert program == "sleep"
            drain += int(seconds)
        assert spec["terminationGracePeriodSeconds"] > drain


def test_components_that_listen_have_probes() -> None:
    for name, spec in pod_specs("kubernetes"):
        [container] = spec["containers"]
        probes = {key for key in container if key.endswith("Probe")}
        serves = name not in ("outdial-dialer", "outdial-jobs")
        assert probes == ({"startupProbe", "readinessProbe", "livenessProbe"} if serves else set())
    files = {
        file.name: file
        for file in manifests(FUNCTIONS, ClusterTarget(target="kubernetes", image="x", with_studio=True))
    }
    for silent in (files["outdial-dialer"], files["outdial-jobs"]):
        assert any("No probes" in note for note in silent.notes)
        assert only(list(silent.objects), "NetworkPolicy")["spec"]["ingress"] == []


def test_the_studio_is_probed_at_its_health_path() -> None:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container_of("outdial-studio", "kubernetes")[probe]["httpGet"]["path"] == "/health"


def test_the_startup_probe_allows_the_boot_timeout() -> None:
    slow = {"slow": FunctionConfig(boot_timeout_s=60)}
    for file in manifests(slow, ClusterTarget(target="kubernetes", image="x")):
        for each in file.objects:
            if each["kind"] == "Deployment" and file.name != "outdial-dialer":
                probe = each["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
                assert probe["periodSeconds"] * probe["failureThreshold"] > 60


@pytest.mark.parametrize("target", TARGETS)
def test_every_object_has_the_namespace_and_environment_label(target: ManifestTarget) -> None:
    for each in every(target, namespace="voice", environment="staging"):
        assert each["metadata"]["namespace"] == "voice"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "staging"


@pytest.mark.parametrize("target", TARGETS)
def test_yaml_reads_back_as_the_same_objects(target: ManifestTarget) -> None:
    for file in manifests(FUNCTIONS, ClusterTarget(target=target, image="outdial:1")):
        text = to_yaml(file.objects, ["Made by hand", *file.notes])

        assert text.startswith("# Made by hand\n")
        assert list(yaml.safe_load_all(text)) == list(file.objects)
        assert "&" not in text


def test_the_same_settings_give_the_same_text_in_any_order() -> None:
    def text(functions: Mapping[str, FunctionConfig]) -> str:
        return "".join(
            to_yaml(file.objects, file.notes)
            for file in manifests(functions, ClusterTarget(target="kubernetes", image="x"))
        )

    shuffled = list(FUNCTIONS.items())
    random.Random(1).shuffle(shuffled)
    assert text(dict(shuffled)) == text(FUNCTIONS)


@pytest.mark.parametrize("slug", ["ends-in-_", "x" * 49])
def test_rejects_slugs_that_yield_no_kubernetes_name(slug: str) -> None:
    with pytest.raises(BadConfig, match="in a cluster a name has at most 48"):
        manifests({slug: FunctionConfig()}, ClusterTarget(target="knative", image="x"))


@pytest.mark.parametrize("slugs", [("two_words", "two-words"), ("outdial-dialer",)])
def test_rejects_two_components_with_one_name(slugs: tuple[str, ...]) -> None:
    with pytest.raises(BadConfig, match="two components would be named"):
        manifests({slug: FunctionConfig() for slug in slugs}, ClusterTarget(target="knative", image="x"))


def test_rejects_secrets_that_no_worker_may_have() -> None:
    with pytest.raises(BadConfig, match="cannot be given to a function"):
        manifests(
            {"greedy": FunctionConfig(secrets=("OUTDIAL_DIALER_DB_URL",))}, ClusterTarget(target="knative", image="x")
        )
