"""The files in ``deploy`` name only existing settings, paths and folders."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from typer.main import get_command

from fleet_q import FleetQ, Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.snowflake.connection import PARAMETERS, connection_parameters
from fleet_q.core.scaling import SOON
from fleet_q.core.settings import PodSettings
from fleet_q.services.app.key_list import parse
from fleet_q.services.app.settings import from_env
from fleet_q.services.cli.commands import cli
from fleet_q.services.http.api import create_http
from fleet_q.services.http.scaler import create_scaler_http
from fleet_q.services.scaler.scaler import Demand, Scaler
from fleet_q.services.worker.signals import LEAVE_WITHIN

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PARTS: Final = ("kubernetes", "autoscaling", "schema")
"""The folders that are applied with ``kubectl apply -k``."""

Manifest = dict[str, Any]


def manifests(folder: str = "") -> list[Manifest]:
    """All manifests below a folder of ``deploy``, without those of kustomize."""
    paths = sorted((DEPLOY / folder).rglob("*.yaml"))
    found = [m for path in paths for m in yaml.safe_load_all(path.read_text())]
    return [m for m in found if m["kind"] not in ("Kustomization", "Component")]


def load(kind: str, name: str = "fleet-q") -> Manifest:
    """The manifest of this kind and name."""
    (found,) = (m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


WORKLOADS: Final = [
    ("Deployment", "fleet-q"),
    ("Deployment", "fleet-q-scaler"),
    ("Job", "fleet-q-schema"),
]


def template_of(workload: tuple[str, str]) -> Manifest:
    template: Manifest = load(*workload)["spec"]["template"]
    return template


def container_of(workload: tuple[str, str]) -> Manifest:
    (container,) = template_of(workload)["spec"]["containers"]
    found: Manifest = container
    return found


@pytest.fixture
def spec() -> dict[str, Any]:
    spec: dict[str, Any] = template_of(("Deployment", "fleet-q"))["spec"]
    return spec


@pytest.fixture
def container(spec: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = spec["containers"]
    return container


def test_kustomizations_list_every_manifest_beside_them() -> None:
    files = sorted(DEPLOY.rglob("kustomization.yaml"))
    assert {path.parent.name for path in files} == {*PARTS, "common", "image"}
    for path in files:
        kustomization = yaml.safe_load(path.read_text())
        listed = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        beside = {each.name for each in path.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert {name for name in listed if name.endswith(".yaml")} == beside
        assert all((path.parent / name).exists() for name in listed)


def test_every_kind_of_manifest_is_there() -> None:
    kinds = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests()}
    assert kinds == {
        ("ConfigMap", "fleet-q"),
        ("Deployment", "fleet-q"),
        ("Deployment", "fleet-q-scaler"),
        ("Job", "fleet-q-schema"),
        ("NetworkPolicy", "fleet-q"),
        ("NetworkPolicy", "fleet-q-api"),
        ("NetworkPolicy", "fleet-q-scaler"),
        ("PodDisruptionBudget", "fleet-q"),
        ("ScaledObject", "fleet-q"),
        ("Service", "fleet-q"),
        ("Service", "fleet-q-scaler"),
        ("TriggerAuthentication", "fleet-q-scaler"),
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders the manifests")
@pytest.mark.parametrize("part", PARTS)
def test_manifests_are_rendered_by_kustomize(part: str) -> None:
    command = ["kubectl", "kustomize", str(DEPLOY / part)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {(m["kind"], m["metadata"]["name"]): m for m in yaml.safe_load_all(rendered)}
    for kind, name in found:
        assert load(kind, name)
    image = f"fleet-q:{version()}"
    workloads = {key: m for key, m in found.items() if "template" in m.get("spec", {})}
    assert workloads
    for manifest in workloads.values():
        assert manifest["spec"]["template"]["spec"]["containers"][0]["image"] == image
    if part == "autoscaling":
        assert "replicas" not in found["Deployment", "fleet-q"]["spec"]
        assert found.keys() >= {("ScaledObject", "fleet-q"), ("ConfigMap", "fleet-q")}


def test_every_variable_is_a_setting() -> None:
    known = {f"FLEET_Q_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    known |= {f"SNOWFLAKE_{name.upper()}" for name in PARAMETERS}
    used = set(load("ConfigMap")["data"])
    for workload in WORKLOADS:
        used |= {each["name"] for each in container_of(workload)["env"]}
    assert used - {"HOME"} <= known
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    mentioned = {
        name for text in texts for name in re.findall(r"(?:FLEET_Q|SNOWFLAKE)_[A-Z_]+", text)
    }
    assert mentioned - {"SNOWFLAKE_JWT"} <= known | {"FLEET_Q_STORE"}


def test_config_map_selects_the_snowflake_store() -> None:
    data = load("ConfigMap")["data"]
    settings = from_env({**data, "FLEET_Q_POD_ID": "fleet-q-5d-x", "FLEET_Q_API_KEYS": "a"})
    assert (settings.store, settings.log_format) == ("snowflake://", "json")
    parameters = connection_parameters(settings.store, tag="test", env=data)
    assert parameters["authenticator"] == "SNOWFLAKE_JWT"
    for workload in WORKLOADS:
        env_from = container_of(workload)["envFrom"]
        assert env_from == [{"configMapRef": {"name": "fleet-q"}}]


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_key_is_mounted_at_the_path_of_the_settings(workload: tuple[str, str]) -> None:
    spec, container = template_of(workload)["spec"], container_of(workload)
    volume = next(each["secret"] for each in spec["volumes"] if "secret" in each)
    mount = next(each for each in container["volumeMounts"] if each["name"] == "secrets")
    item = volume["items"][0]
    file = load("ConfigMap")["data"]["SNOWFLAKE_PRIVATE_KEY_FILE"]
    assert f"{mount['mountPath']}/{item['path']}" == file
    made = (DEPLOY / "README.md").read_text()
    assert f"create secret generic {volume['secretName']} " in made
    assert f"--from-file={item['key']}=" in made


def test_api_keys_are_mounted_from_the_secret_that_is_created() -> None:
    made = (DEPLOY / "README.md").read_text()
    for workload in (("Deployment", "fleet-q"), ("Deployment", "fleet-q-scaler")):
        spec, container = template_of(workload)["spec"], container_of(workload)
        volume = next(each["secret"] for each in spec["volumes"] if "secret" in each)
        mount = next(each for each in container["volumeMounts"] if each["name"] == "secrets")
        assert "subPath" not in mount  # such a file would not follow the secret
        item = volume["items"][1]
        env = {each["name"]: each.get("value") for each in container["env"]}
        assert env["FLEET_Q_API_KEYS_FILE"] == f"{mount['mountPath']}/{item['path']}"
        assert f"create secret generic {volume['secretName']} " in made
        (entries,) = re.findall(rf'--from-literal={item["key"]}="(.*?)" ', made, re.DOTALL)
        lines = re.sub(r"\$\(.*?\)|\$\w+", "secret", entries).splitlines()
        assert [parse([line])[0].role for line in lines] == ["admin", "read"]


def test_a_pod_has_time_to_drain(spec: dict[str, Any]) -> None:
    grace = load("ConfigMap")["data"].get("FLEET_Q_SHUTDOWN_GRACE")
    needed = float(grace or PodSettings().shutdown_grace) + LEAVE_WITHIN
    assert spec["terminationGracePeriodSeconds"] > needed


def test_probes_request_an_endpoint_of_the_api(container: dict[str, Any]) -> None:
    paths = create_http(FleetQ("memory://")).openapi()["paths"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        assert probe["httpGet"]["path"] in paths
        assert ports[probe["httpGet"]["port"]] == 8000
    assert load("Service")["spec"]["ports"][0]["targetPort"] in ports


def test_scaler_listens_where_its_probes_and_its_service_ask() -> None:
    container = container_of(("Deployment", "fleet-q-scaler"))
    (port,) = container["ports"]
    assert container["args"][-2:] == ["--port", str(port["containerPort"])]
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        assert probe["httpGet"]["path"] in scaler_paths()
        assert probe["httpGet"]["port"] == port["name"]
    (service,) = load("Service", "fleet-q-scaler")["spec"]["ports"]
    assert service["targetPort"] == port["name"]


def test_keda_asks_the_scaler_for_the_wanted_pods() -> None:
    spec = load("ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    url = urlsplit(trigger["metadata"]["url"])
    assert (url.hostname or "").partition(".")[0] == "fleet-q-scaler"
    assert url.path in scaler_paths()
    fields = {field.name for field in dataclasses.fields(Demand)}
    assert trigger["metadata"]["valueLocation"] in fields
    assert trigger["metadata"]["targetValue"] == "1"
    assert spec["pollingInterval"] <= SOON / 2
    authentication = load("TriggerAuthentication", trigger["authenticationRef"]["name"])
    (key,) = authentication["spec"]["secretTargetRef"]
    made = (DEPLOY / "README.md").read_text()
    assert f"create secret generic {key['name']} " in made
    assert f'--from-literal={key["key"]}="$keda"' in made
    assert "keda=read:$keda" in made
    assert load("Deployment", spec["scaleTargetRef"]["name"])


def scaler_paths() -> set[str]:
    settings = Settings()
    http = create_scaler_http(Scaler(MemoryStore(), settings), settings, ("*",))
    return set(http.openapi()["paths"])


@pytest.mark.parametrize("workload", WORKLOADS[1:], ids=str)
def test_arguments_are_those_of_a_command(workload: tuple[str, str]) -> None:
    name, *words = container_of(workload)["args"]
    commands: Any = get_command(cli)
    commands.commands[name].make_context(name, words)


def test_network_policies_allow_snowflake_and_the_api_only() -> None:
    policy = load("NetworkPolicy")["spec"]
    (selection,) = policy["podSelector"]["matchExpressions"]
    labels = {template_of(w)["metadata"]["labels"]["app"] for w in WORKLOADS}
    assert (set(selection["values"]), selection["operator"]) == (labels, "In")
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in policy
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {443, 80, 53}
    for name, app in (("fleet-q-api", "fleet-q"), ("fleet-q-scaler", "fleet-q-scaler")):
        opened = load("NetworkPolicy", name)["spec"]
        assert opened["podSelector"] == {"matchLabels": {"app": app}}
        assert opened["policyTypes"] == ["Ingress"]
        (rule,) = opened["ingress"]
        names = [port["name"] for port in container_of(("Deployment", app))["ports"]]
        assert [port["port"] for port in rule["ports"]] == names


def test_disruption_budget_and_spread_are_about_the_pods() -> None:
    labels = template_of(("Deployment", "fleet-q"))["metadata"]["labels"]
    assert load("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    spread = template_of(("Deployment", "fleet-q"))["spec"]["topologySpreadConstraints"]
    assert [each["labelSelector"]["matchLabels"] for each in spread] == [labels, labels]


def test_schema_job_signs_in_as_the_owner_and_grants_the_role_of_the_pods() -> None:
    container, data = container_of(("Job", "fleet-q-schema")), load("ConfigMap")["data"]
    own = {each["name"]: each["value"] for each in container["env"]}
    assert own["SNOWFLAKE_ROLE"] != data["SNOWFLAKE_ROLE"] == container["args"][-1]
    assert own["SNOWFLAKE_USER"] != data["SNOWFLAKE_USER"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_nothing_runs_as_root(workload: tuple[str, str]) -> None:
    spec, container = template_of(workload)["spec"], container_of(workload)
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, flags=re.M)
    assert spec["securityContext"]["runAsUser"] == int(user) > 0
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    writable = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert writable == {"/tmp"}


def test_image_copies_every_folder_of_the_package() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.M)
    sources = {word for line in copied for word in line.split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    paths = project["tool"]["setuptools"]["package-dir"].values()
    folders = {path.split("/")[0] for path in paths}
    files = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert sources == folders | files
    assert all((ROOT / source).exists() for source in sources)
    assert f"fleet-q:{project['project']['version']}" in dockerfile
    image = yaml.safe_load((DEPLOY / "kubernetes" / "image" / "kustomization.yaml").read_text())
    assert image["images"][0]["newTag"] == version()


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(project["project"]["version"])
