"""The files in ``deploy`` name only existing settings, paths and folders."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fleet_q import FleetQ, Settings
from fleet_q.adapters.snowflake.connection import PARAMETERS, connection_parameters
from fleet_q.core.settings import PodSettings
from fleet_q.services.app.settings import from_env
from fleet_q.services.http.api import create_http
from fleet_q.services.worker.signals import LEAVE_WITHIN

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((KUBERNETES / name).read_text())
    return loaded


@pytest.fixture
def spec() -> dict[str, Any]:
    spec: dict[str, Any] = load("deployment.yaml")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(spec: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any]
    (container,) = spec["containers"]
    return container


def test_kustomization_lists_every_manifest() -> None:
    manifests = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(load("kustomization.yaml")["resources"]) == manifests
    assert {load(name)["kind"] for name in manifests} == {"ConfigMap", "Deployment", "Service"}
    assert all(load(name)["metadata"]["name"] == "fleet-q" for name in manifests)


def test_every_variable_is_a_setting(container: dict[str, Any]) -> None:
    known = {f"FLEET_Q_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    known |= {f"SNOWFLAKE_{name.upper()}" for name in PARAMETERS}
    used = {*load("settings.yaml")["data"], *(each["name"] for each in container["env"])}
    assert used - {"HOME"} <= known
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    mentioned = {
        name for text in texts for name in re.findall(r"(?:FLEET_Q|SNOWFLAKE)_[A-Z_]+", text)
    }
    assert mentioned - {"SNOWFLAKE_JWT"} <= known | {"FLEET_Q_STORE"}


def test_config_map_selects_the_snowflake_store(container: dict[str, Any]) -> None:
    data = load("settings.yaml")["data"]
    settings = from_env({**data, "FLEET_Q_POD_ID": "fleet-q-5d-x", "FLEET_Q_API_KEYS": "a"})
    assert (settings.store, settings.log_format) == ("snowflake://", "json")
    parameters = connection_parameters(settings.store, tag="test", env=data)
    assert parameters["authenticator"] == "SNOWFLAKE_JWT"
    assert container["envFrom"] == [{"configMapRef": {"name": "fleet-q"}}]


def test_key_is_mounted_at_the_path_of_the_settings(
    spec: dict[str, Any], container: dict[str, Any]
) -> None:
    volume = next(each["secret"] for each in spec["volumes"] if "secret" in each)
    mount = next(each for each in container["volumeMounts"] if each["name"] == "secrets")
    (item,) = volume["items"]
    file = load("settings.yaml")["data"]["SNOWFLAKE_PRIVATE_KEY_FILE"]
    assert f"{mount['mountPath']}/{item['path']}" == file
    made = (DEPLOY / "README.md").read_text()
    assert f"create secret generic {volume['secretName']}" in made
    assert f"--from-file={item['key']}=" in made
    keys = next(each for each in container["env"] if each["name"] == "FLEET_Q_API_KEYS")
    assert f"--from-literal={keys['valueFrom']['secretKeyRef']['key']}=" in made


def test_a_pod_has_time_to_drain(spec: dict[str, Any]) -> None:
    grace = load("settings.yaml")["data"].get("FLEET_Q_SHUTDOWN_GRACE")
    needed = float(grace or PodSettings().shutdown_grace) + LEAVE_WITHIN
    assert spec["terminationGracePeriodSeconds"] > needed


def test_probes_request_an_endpoint_of_the_api(container: dict[str, Any]) -> None:
    paths = create_http(FleetQ("memory://")).openapi()["paths"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        assert probe["httpGet"]["path"] in paths
        assert ports[probe["httpGet"]["port"]] == 8000
    assert load("service.yaml")["spec"]["ports"][0]["targetPort"] in ports


def test_nothing_runs_as_root(spec: dict[str, Any], container: dict[str, Any]) -> None:
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
    assert load("kustomization.yaml")["images"][0]["newTag"] == project["project"]["version"]
