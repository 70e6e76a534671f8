"""deploy/: what Kubernetes, KubeRay and Ray's launcher would refuse, refused here."""

from __future__ import annotations

import configparser
import re
import shutil
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT
from tests.processes import run_command
from tune_jobs.local_environment import LONGEST_SOCKET, MAX_SOCKET_BYTES

DEPLOY = ROOT / "deploy"
Schema = dict[str, Any]
QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def thing(required: str = "", **properties: Schema) -> Schema:
    """An object with these fields and no others: the API server drops or refuses what it does not know."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def each(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
LABEL: Schema = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}  # numbers have to be quoted
AMOUNTS: Schema = {"type": "object", "additionalProperties": {"type": "string", "pattern": QUANTITY}}
FROM: Schema = thing("secretKeyRef", secretKeyRef=thing("name key", name=LABEL, key=TEXT))
CONTAINER = thing(
    "name image resources",
    name=LABEL,
    image=TEXT,
    ports=each(thing("containerPort", name=LABEL, containerPort=COUNT)),
    env=each(
        {
            "oneOf": [
                thing("name value", name=TEXT, value=TEXT),
                thing("name valueFrom", name=TEXT, valueFrom=FROM),
            ]
        }
    ),
    resources=thing("requests limits", requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=each(thing("name mountPath", name=LABEL, mountPath=TEXT)),
    securityContext=thing(
        "allowPrivilegeEscalation capabilities",
        allowPrivilegeEscalation={"const": False},
        capabilities=thing("drop", drop={"const": ["ALL"]}),
    ),
)
POD_SECURITY = thing(
    "runAsNonRoot runAsUser fsGroup seccompProfile",
    runAsNonRoot={"const": True},
    runAsUser={"const": 10001},
    fsGroup={"const": 10001},
    seccompProfile=thing("type", type={"const": "RuntimeDefault"}),
)
VOLUME = thing(
    "name",
    name=LABEL,
    emptyDir=thing(medium={"enum": ["", "Memory"]}, sizeLimit={"type": "string", "pattern": QUANTITY}),
    persistentVolumeClaim=thing("claimName", claimName=LABEL),
)
TEMPLATE = thing(
    "spec",
    spec=thing(
        "containers securityContext automountServiceAccountToken",
        automountServiceAccountToken={"const": False},
        securityContext=POD_SECURITY,
        containers=each(CONTAINER),
        volumes=each(VOLUME),
    ),
)
# From KubeRay's reference of ray.io/v1 as of 1.6: the fields we may use, with their types.
CLUSTER = thing(
    "headGroupSpec rayVersion authOptions",
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    enableInTreeAutoscaling=FLAG,
    authOptions=thing("mode secretName", mode={"enum": ["disabled", "token"]}, secretName=LABEL),
    headGroupSpec=thing("rayStartParams template", rayStartParams=TEXTS, template=TEMPLATE),
    workerGroupSpecs=each(
        thing(
            "groupName rayStartParams template",
            groupName=LABEL,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=TEXTS,
            template=TEMPLATE,
        )
    ),
)
JOB = thing(
    "entrypoint rayClusterSpec",
    entrypoint=TEXT,
    entrypointNumCpus={"type": "number", "minimum": 0},
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
    backoffLimit=COUNT,
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)


def kuberay(kind: str, spec: Schema) -> Schema:
    meta = thing("name", name=LABEL, labels=TEXTS)
    head: dict[str, Schema] = {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": kind}}
    return thing("apiVersion kind metadata spec", **head, metadata=meta, spec=spec)


def read(name: str) -> Any:
    """The first document of the file."""
    return next(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def amount(quantity: str) -> float:
    found = re.fullmatch(r"([\d.]+)(\D*)", quantity)
    assert found is not None
    return float(found[1]) * UNITS[found[2]]


@pytest.mark.parametrize(
    ("name", "schema"),
    [("raycluster.yaml", kuberay("RayCluster", CLUSTER)), ("rayjob.yaml", kuberay("RayJob", JOB))],
)
def test_kuberay_takes_it(name: str, schema: Schema) -> None:
    document = read(name)
    jsonschema.validate(document, schema)
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    assert spec["authOptions"]["mode"] == "token"
    for group in spec["workerGroupSpecs"]:
        assert group.get("minReplicas", 0) <= group["replicas"] <= group.get("maxReplicas", 2**31 - 1)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert "securityContext" in container
        for volume in group["template"]["spec"]["volumes"]:
            assert volume.get("emptyDir", {"sizeLimit": ""}).get("sizeLimit") is not None, (
                "fills the node's disk"
            )
        limits = container["resources"]["limits"]
        for resource, asked in container["resources"]["requests"].items():
            assert amount(asked) <= amount(limits[resource]), resource
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names))
        assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & set(names)  # the operator sets them, once
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "/dev/shm" in mounts  # of the workers: Kubernetes gives 64 MB, too little for loaders


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("authOptions", {"mode": "tokens", "secretName": "ray-token"}),
        ("authOption", {"mode": "token"}),
        ("rayVersion", 2.6),
        ("headGroupSpec", {"rayStartParams": {"num-cpus": 0}, "template": {"spec": {"containers": []}}}),
    ],
)
def test_what_kuberay_refuses_is_noticed(place: str, wrong: object) -> None:
    document = read("raycluster.yaml")
    document["spec"][place] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, kuberay("RayCluster", CLUSTER))


def test_a_job_goes_away_and_is_tried_again() -> None:
    spec = read("rayjob.yaml")["spec"]
    assert spec["shutdownAfterJobFinishes"] is True  # without it ttlSecondsAfterFinished means nothing
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (container,) = head["containers"]
    assert "RECOMMENDER_STORE_URL" in {entry["name"] for entry in container["env"]}  # outlives the cluster
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    for path in re.findall(r"(?:--dataset|--storage) (\S+)", spec["entrypoint"]):
        assert any(path.startswith(mount + "/") for mount in mounted), path


def test_rays_launcher_takes_the_template() -> None:
    """Ray's own validation of `ray up`, on the template with its blanks filled in."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (DEPLOY / "ray-cluster.yaml").read_text("utf-8")
    for blank, filled in {
        "HEAD_MACHINE": "192.0.2.1",
        "FIRST_WORKER": "192.0.2.2",
        "SECOND_WORKER": "192.0.2.3",
    }.items():
        assert blank in text
        text = text.replace(blank, filled)
    config = prepare_config(yaml.safe_load(text.replace("ssh_user: USER", "ssh_user: me")))
    validate_config(config)


def test_the_service_beside_it_names_the_same_secret_and_cluster() -> None:
    deployment, *_ = yaml.safe_load_all((DEPLOY / "kuberay-service.yaml").read_text("utf-8"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    cluster = read("raycluster.yaml")
    head = f"{cluster['metadata']['name']}-head-svc"
    assert env["RECOMMENDER_SERVICE_RAY_ADDRESS"]["value"] == f"ray://{head}:10001"
    secret = env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": cluster["spec"]["authOptions"]["secretName"], "key": "auth_token"}


@pytest.mark.parametrize(
    ("name", "label"),
    [("kuberay-service.yaml", {"app": "recommender"}), ("raycluster.yaml", {"ray.io/cluster": "raycluster"})],
)
def test_pods_are_reached_by_whom_they_serve_only(name: str, label: dict[str, str]) -> None:
    documents = list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))
    (policy,) = [found for found in documents if found["kind"] == "NetworkPolicy"]
    assert policy["spec"]["podSelector"]["matchLabels"] == label
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    for rule in policy["spec"]["ingress"]:
        assert rule["from"], "an empty list is everybody"
        for peer in rule["from"]:
            labels = [chosen.get("matchLabels") for chosen in peer.values()]
            assert any(labels), "a selector without labels is everybody"


def test_the_systemd_unit_keeps_trainings_and_little_else() -> None:
    """Trainings outlive the service, so what they use may not be swept away with it."""
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "recommender.service")
    text = (DEPLOY / "recommender.service").read_text("utf-8")
    service = unit["Service"]
    assert service["KillMode"] == "process"
    temporary = re.findall(r"(?:RAY_)?TMPDIR=(\S+)", text)
    assert temporary == ["/var/lib/recommender/tmp"] * 2
    assert len(f"{temporary[0]}/ray/{LONGEST_SOCKET}") <= MAX_SOCKET_BYTES
    assert service["StateDirectory"].split() == ["recommender", "recommender/tmp"]
    assert "RemoveIPC" not in service
    assert {"@system-service", "@sandbox"} == set(service["SystemCallFilter"].split())
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("needs systemd-analyze")
    done = run_command(analyse, "security", "--offline=true", DEPLOY / "recommender.service", status=None)
    level = re.search(r"exposure level for .*?: ([\d.]+)", done.stdout)
    if level is None:
        pytest.skip(f"this systemd-analyze reads no file: {done.stderr.strip()[:80]}")
    assert float(level[1]) < 3.0
