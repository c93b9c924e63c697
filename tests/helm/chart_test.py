#!/usr/bin/env python3
"""The Helm chart: what it renders, for every kind of installation that docs/install-kubernetes.md knows.

Skipped (77) without Go, python3-yaml and python3-jsonschema: tools/install-deps.
"""
import collections
import copy
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"SKIP: {missing}: tools/install-deps")
    sys.exit(77)

from kinds import Kinds  # noqa: E402

CHART = ROOT / "deploy/helm/holdfast"
NAS = ["storageClasses[0].name=nas", "storageClasses[0].server=192.168.1.5", "storageClasses[0].share=/volume1/k8s"]
ETCD = ["lockd.replicas=3", "lockd.store.type=etcd", "lockd.store.etcd.endpoints[0]=etcd-0:2379", "controller.replicas=2"]
MICROK8S = "/var/snap/microk8s/common/var/lib/kubelet"
# name -> --set; every check below sees each of them.
VARIANTS = {
    "defaults": [],
    "nas": NAS,
    "microk8s": NAS + [f"kubeletDir={MICROK8S}", "lockd.store.volume.storageClassName=microk8s-hostpath", "sidecars.registry=mirror.lan:5000/"],
    "hostPath": NAS + ["lockd.store.type=hostPath", "lockd.store.hostPath.node=pi-1"],
    "etcd": NAS + ETCD,
    "etcd, secured": NAS + ETCD + ["lockd.store.etcd.tlsSecretName=etcd", "lockd.store.etcd.user=holdfast", "lockd.store.etcd.passwordSecretName=etcd-password"],
    "lockd elsewhere": NAS + ["lockd.enabled=false", "lockd.address=10.0.0.7:7680/10.0.0.8:7680", "keeper.enabled=false"],
    "closed": NAS + ["networkPolicy.mountsFrom[0]=192.168.1.0/24", "networkPolicy.storage[0]=192.168.1.5/32", "imagePullSecrets[0].name=registry"],
    "plain text": NAS + ["tls.enabled=false"],
    "without Events": NAS + ["events.enabled=false"],
    "patient": NAS + ["events.after=300", "networkPolicy.apiPorts[0]=16443"],
    "monitored": NAS + ["monitoring.enabled=true"],
    "monitored by an operator": NAS + ["monitoring.enabled=true", "monitoring.serviceMonitor=true", "monitoring.rules=true", "monitoring.dashboard=true",
                                       "monitoring.labels.release=prometheus"],
    "monitored elsewhere": NAS + ["lockd.enabled=false", "lockd.address=10.0.0.7", "monitoring.enabled=true", "monitoring.serviceMonitor=true"],
    "choosy": NAS + ["nodes.selector.storage=yes", "lockd.nodeSelector.disk=ssd", "controller.nodeSelector.disk=ssd", "storageClasses[0].default=true",
                     "storageClasses[0].mountOptions[0]=cache=tokens", "storageClasses[0].onDelete=archive", "storageClasses[0].uid=1000",
                     "storageClasses[0].owner=999:998"],
}


def setUpModule():
    subprocess.run([ROOT / "tools/manifests", "--print"], stdout=subprocess.DEVNULL, check=True)  # builds the engine


def render(sets, *more):
    words = [word for one in sets for word in ("--set", one)]
    return subprocess.run([ROOT / "build/chart-render", *words, *more, CHART], capture_output=True, text=True)


def values_of(sets):
    """The values as the chart sees them; put into words by a template of a line would be another engine's business."""
    out = yaml.safe_load((CHART / "values.yaml").read_text())
    for one in sets:
        path, text = one.split("=", 1)
        here = out
        steps = [int(w) if w.isdigit() else w for w in re.findall(r"[^.\[\]]+", path)]
        for step, following in zip(steps, steps[1:] + [None]):
            if following is None:
                new = {"true": True, "false": False}.get(text, int(text) if text.isdigit() else text)
            else:
                new = [] if isinstance(following, int) else {}
            if isinstance(here, list) and step == len(here):
                here.append(new)
            elif following is None or (isinstance(here, dict) and step not in here):
                here[step] = new
            here = here[step]
    return out


def pod_of(document):
    return document["spec"]["template"]["spec"] if "template" in document.get("spec", {}) else None


def containers_of(pod):
    return pod["containers"] + pod.get("initContainers", [])


class Rendered:
    def __init__(self, name, sets):
        result = render(sets)
        assert result.returncode == 0, f"{name}: {result.stderr}"
        self.text = result.stdout
        self.documents = [d for d in yaml.safe_load_all(self.text) if d]
        self.values = values_of(sets)

    def of(self, kind):
        return [d for d in self.documents if d["kind"] == kind]

    def pods(self):  # (document, pod)
        return [(d, pod_of(d)) for d in self.documents if pod_of(d)]

    def named(self, kind, name):
        return next((d for d in self.of(kind) if d["metadata"]["name"] == name), None)


class ChartTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rendered = {name: Rendered(name, sets) for name, sets in VARIANTS.items()}

    def each(self):
        for self.variant, one in self.rendered.items():
            yield one

    def _formatMessage(self, msg, standard):  # which of them it was
        return f"[{getattr(self, 'variant', '')}] {super()._formatMessage(msg, standard)}"

    def test_every_field_is_one_of_kubernetes(self):
        kinds = Kinds(pathlib.Path(__file__).with_name("kinds.yaml"))
        for one in self.each():
            self.assertEqual([], [f for d in one.documents for f in kinds.findings(d)])

    def test_nothing_is_there_twice(self):
        for one in self.each():
            names = collections.Counter((d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in one.documents)
            self.assertEqual([], [n for n, count in names.items() if count > 1])

    def test_plain_manifests_are_the_chart_rendered(self):
        result = subprocess.run([ROOT / "tools/manifests", "--check"], capture_output=True, text=True)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)

    def test_the_namespace_comes_before_what_is_in_it(self):
        documents = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/holdfast.yaml").read_text()))
        self.assertEqual("Namespace", documents[0]["kind"])

    # --- within a pod, and between objects

    def test_mounts_have_volumes_and_volumes_are_mounted(self):
        for one in self.each():
            for document, pod in one.pods():
                volumes = [v["name"] for v in pod.get("volumes", [])]
                volumes += [c["metadata"]["name"] for c in document["spec"].get("volumeClaimTemplates", [])]
                mounted = {m["name"] for c in containers_of(pod) for m in c.get("volumeMounts", [])}
                self.assertEqual(sorted(set(volumes)), sorted(mounted), document["metadata"]["name"])
                self.assertEqual(len(set(volumes)), len(volumes))
                for container in containers_of(pod):
                    paths = [m["mountPath"] for m in container.get("volumeMounts", [])]
                    self.assertEqual(len(set(paths)), len(paths))

    def test_files_that_options_name_are_mounted(self):
        for one in self.each():
            for document, pod in one.pods():
                for container in containers_of(pod):
                    paths = [m["mountPath"] for m in container.get("volumeMounts", [])]
                    for word in container.get("command", []) + container.get("args", []):
                        for path in re.findall(r"=(?:unix://)?(/[^ ]+)", word):
                            if "registration-path" in word:  # kubelet's view
                                paths = [v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v]
                            self.assertTrue(any(f"{path}/".startswith(p + "/") for p in paths), f"{document['metadata']['name']}: {word}")

    def test_selectors_find_the_pods_of_their_object_alone(self):
        for one in self.each():
            pods = {d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d, _ in one.pods()}

            def found(labels):
                return [n for n, has in pods.items() if labels.items() <= has.items()]
            for document, _ in one.pods():
                self.assertEqual([document["metadata"]["name"]], found(document["spec"]["selector"]["matchLabels"]))
            for document in one.of("NetworkPolicy") + one.of("PodDisruptionBudget"):
                selector = document["spec"].get("podSelector") or document["spec"]["selector"]
                self.assertEqual([document["metadata"]["name"]], found(selector["matchLabels"]))
            for document in one.of("Service"):
                labels = {k: v for k, v in document["spec"]["selector"].items() if k != "statefulset.kubernetes.io/pod-name"}
                self.assertEqual(1, len(found(labels)), document["metadata"]["name"])

    def test_ports_that_are_named_exist(self):
        for one in self.each():
            by_labels = [(d["spec"]["template"]["metadata"]["labels"], {p["name"] for c in pod["containers"] for p in c.get("ports", [])}) for d, pod in one.pods()]

            def ports_of(labels):
                return next(p for has, p in by_labels if {k: v for k, v in labels.items() if "pod-name" not in k}.items() <= has.items())
            for service in one.of("Service"):
                for port in service["spec"]["ports"]:
                    self.assertIn(port["targetPort"], ports_of(service["spec"]["selector"]))
            for policy in one.of("NetworkPolicy"):
                for rule in policy["spec"].get("ingress", []):
                    for port in rule["ports"]:
                        self.assertIn(port["port"], ports_of(policy["spec"]["podSelector"]["matchLabels"]))
            for document, pod in one.pods():
                for container in pod["containers"]:
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                        port = container.get(probe, {}).get("httpGet", {}).get("port")
                        self.assertIn(port, [None] + [p["name"] for p in container.get("ports", [])])

    def test_mounts_are_told_of_every_lockd_there_is(self):
        for one in self.each():
            words = [w for _, pod in one.pods() for c in pod["containers"] for w in c.get("command", []) if w.startswith("--lockd=")]
            self.assertEqual(1, len(words))
            hosts = words[0].removeprefix("--lockd=").split("/")
            lockd = one.named("StatefulSet", "holdfast-lockd")
            if not lockd:
                self.assertEqual(one.values["lockd"]["address"], "/".join(hosts))
                continue
            self.assertEqual(lockd["spec"]["replicas"], len(hosts))
            for number, host in enumerate(hosts):
                name, namespace, rest = host.split(".", 2)
                service = one.named("Service", name)
                self.assertEqual("svc:7680", rest)
                self.assertEqual(namespace, service["metadata"]["namespace"])
                self.assertEqual(f"holdfast-lockd-{number}", service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"])
            self.assertIsNotNone(one.named("Service", lockd["spec"]["serviceName"]))

    def test_options_are_those_of_our_programs(self):
        sources = {"holdfast-csi": "deploy/csi", "holdfast-csi-keeper": "deploy/csi/keeper", "holdfast-lockd": "lockd",
                   "holdfast metrics": "cli/metrics", "holdfast events": "cli/events"}
        text = {p: "".join(f.read_text() for f in (ROOT / d).glob("*.cc")) for p, d in sources.items()}
        seen = set()
        for one in self.each():
            for _, pod in one.pods():
                for container in containers_of(pod):
                    program, *words = container.get("command", [""])
                    if program == "holdfast":
                        program += " " + words.pop(0)
                    if not program.startswith("holdfast"):
                        continue
                    self.assertIn(program, sources)
                    for word in words:
                        option = word.split("=")[0]
                        seen.add(option)
                        self.assertTrue(f'"{option}"' in text[program], f"{program} has no option {option}")
        self.assertLessEqual({"--listen", "--store", "--mode", "--socket", "--etcd-ca", "--tls-cert", "--allow-plain", "--status", "--directory", "--after"}, seen)

    def test_the_probe_knows_a_standby_by_what_it_says(self):
        probe = pod_of(self.rendered["etcd"].named("StatefulSet", "holdfast-lockd"))["containers"][0]["livenessProbe"]["exec"]["command"][2]
        phrase = re.search(r'\*"(.*?)"\*', probe).group(1)
        self.assertIn(phrase, (ROOT / "cli/admin/question.cc").read_text())

    def test_dockerfile_copies_and_runs_what_is_there(self):
        text = (ROOT / "deploy/container/Dockerfile").read_text()
        copied = [w for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for w in line.split()]
        run = re.findall(r"(?:^RUN |&& )(tools/\S+|/debs/furnish)", text, re.M)
        self.assertEqual(["tools/install-deps", "tools/package", "/debs/furnish"], run)
        for path in copied + [r.replace("/debs", "deploy/container") for r in run]:
            self.assertTrue((ROOT / path).exists(), path)
        options = (ROOT / "tools/package").read_text()
        for option in re.findall(r" (--[a-z-]+)", re.search(r"^RUN tools/package (.*)", text, re.M).group(0)):
            if option != "--print-architecture":
                self.assertIn(f" {option}) ", options)

    # --- what is asked of each kind of installation

    def test_one_store_has_one_lockd_and_etcd_has_many(self):
        for one in self.each():
            lockd = one.named("StatefulSet", "holdfast-lockd")
            if not lockd:
                continue
            etcd = any(w.startswith("--store=etcd://") for w in pod_of(lockd)["containers"][0]["command"])
            self.assertEqual(etcd, one.values["lockd"]["store"]["type"] == "etcd")
            if not etcd:
                self.assertEqual(1, lockd["spec"]["replicas"])
            self.assertEqual(lockd["spec"]["replicas"] > 1, one.named("PodDisruptionBudget", "holdfast-lockd") is not None)
        self.assertIn("--store=etcd://etcd-0:2379/holdfast", pod_of(self.rendered["etcd"].named("StatefulSet", "holdfast-lockd"))["containers"][0]["command"])
        pinned = pod_of(self.rendered["hostPath"].named("StatefulSet", "holdfast-lockd"))
        self.assertEqual({"kubernetes.io/hostname": "pi-1"}, pinned["nodeSelector"])

    def test_kubelets_directory_is_the_one_given_everywhere(self):
        self.assertNotIn(" /var/lib/kubelet", self.rendered["microk8s"].text)
        self.assertIn("/var/lib/kubelet", self.rendered["nas"].text)
        node = self.rendered["microk8s"].named("DaemonSet", "holdfast-csi-node")
        self.assertIn(f"--kubelet-registration-path={MICROK8S}/plugins/csi.holdfast.io/csi.sock", pod_of(node)["containers"][1]["args"])
        for name in ("holdfast-csi-node", "holdfast-csi-keeper"):  # the path in kubelet's requests is the path in here
            pod = pod_of(self.rendered["microk8s"].named("DaemonSet", name))
            mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "kubelet")
            self.assertEqual((MICROK8S, "Bidirectional"), (mount["mountPath"], mount["mountPropagation"]))

    def test_keeper_is_replaced_only_by_hand(self):
        keeper = self.rendered["nas"].named("DaemonSet", "holdfast-csi-keeper")
        self.assertEqual("OnDelete", keeper["spec"]["updateStrategy"]["type"])
        container = pod_of(keeper)["containers"][0]
        self.assertNotIn("livenessProbe", container)
        self.assertNotIn("limits", container["resources"])
        self.assertIsNone(self.rendered["lockd elsewhere"].named("DaemonSet", "holdfast-csi-keeper"))

    def test_the_driver_and_the_keeper_share_what_they_talk_through(self):
        for one in self.each():
            keeper, node = one.named("DaemonSet", "holdfast-csi-keeper"), one.named("DaemonSet", "holdfast-csi-node")
            for document in filter(None, (keeper, node)):
                run = next(v for v in pod_of(document)["volumes"] if v["name"] == "run")
                self.assertEqual("/run/holdfast", run["hostPath"]["path"])

    def test_storage_class_has_only_what_was_given(self):
        self.assertEqual({"server": "192.168.1.5", "share": "/volume1/k8s"}, self.rendered["nas"].of("StorageClass")[0]["parameters"])
        choosy = self.rendered["choosy"].of("StorageClass")[0]
        self.assertEqual({"server": "192.168.1.5", "share": "/volume1/k8s", "onDelete": "archive", "uid": "1000", "owner": "999:998"}, choosy["parameters"])
        self.assertEqual(["cache=tokens"], choosy["mountOptions"])
        self.assertEqual("true", choosy["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"])
        self.assertEqual([], self.rendered["defaults"].of("StorageClass"))

    def test_images(self):
        for one in self.each():
            images = {c["name"]: c["image"] for _, pod in one.pods() for c in containers_of(pod)}
            ours = {image for image in images.values() if "sig-storage" not in image}
            self.assertEqual({"holdfast:0.1.0"}, ours)
            prefix = one.values["sidecars"]["registry"]
            for image in set(images.values()) - ours:
                self.assertRegex(image, f"^{re.escape(prefix)}sig-storage/[a-z-]+:v[0-9.]+$")
        version = re.search(r"^project\(\w+ VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
        self.assertEqual(version.group(1), yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])

    # --- least privilege

    def test_rights_are_these_and_no_more(self):
        want = {
            ("persistentvolumes", "get list watch create patch delete"),
            ("persistentvolumeclaims", "get list watch update"),
            ("persistentvolumeclaims/status", "patch"),
            ("storageclasses", "get list watch"),
            ("nodes", "get"),
            ("events", "create patch"),
        }
        for one in self.each():
            have = {(r, " ".join(rule["verbs"])) for rule in one.named("ClusterRole", "holdfast-csi-controller")["rules"] for r in rule["resources"]}
            self.assertEqual(want, have)
            events = one.values["events"]["enabled"]
            self.assertEqual({"holdfast-csi-controller"} | ({"holdfast-csi-node"} if events else set()), {r["metadata"]["name"] for r in one.of("ClusterRole")})
            if events:
                self.assertEqual([{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}],
                                 one.named("ClusterRole", "holdfast-csi-node")["rules"])
            self.assertEqual([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}], one.of("Role")[0]["rules"])
            bound = [(b["roleRef"]["name"], s["name"]) for b in one.of("ClusterRoleBinding") + one.of("RoleBinding") for s in b["subjects"]]
            node = [("holdfast-csi-node", "holdfast-csi-node")] if events else []
            self.assertEqual([("holdfast-csi-controller", "holdfast-csi-controller")] * 2 + node, sorted(bound))

    def test_only_the_controller_and_what_tells_pods_have_a_token(self):
        for one in self.each():
            for document, pod in one.pods():
                name = document["metadata"]["name"]
                if name == "holdfast-csi-controller":
                    self.assertIsNotNone(one.named("ServiceAccount", pod["serviceAccountName"]))
                    continue
                self.assertIs(False, pod["automountServiceAccountToken"])
                events = name == "holdfast-csi-node" and one.values["events"]["enabled"]
                self.assertEqual(events, "serviceAccountName" in pod)
                has = {c["name"] for c in containers_of(pod) for m in c.get("volumeMounts", []) if "serviceaccount" in m["mountPath"]}
                self.assertEqual({"events"} if events else set(), has, "the token is for one container of the pod")
                if events:
                    self.assertIsNotNone(one.named("ServiceAccount", pod["serviceAccountName"]))

    def test_events_find_token_and_certificate_where_they_look(self):
        node = pod_of(self.rendered["nas"].named("DaemonSet", "holdfast-csi-node"))
        mount = next(m for c in node["containers"] if c["name"] == "events" for m in c["volumeMounts"] if m["name"] == "kubernetes")
        self.assertIn(f'"{mount["mountPath"]}"', (ROOT / "cli/events/kube_api.cc").read_text())
        sources = next(v["projected"]["sources"] for v in node["volumes"] if v["name"] == "kubernetes")
        self.assertEqual("token", sources[0]["serviceAccountToken"]["path"])
        self.assertEqual("ca.crt", sources[1]["configMap"]["items"][0]["path"])
        words = next(c["command"] for c in pod_of(self.rendered["patient"].named("DaemonSet", "holdfast-csi-node"))["containers"] if c["name"] == "events")
        self.assertIn("--after=300", words)

    def test_only_what_mounts_is_privileged(self):
        for one in self.each():
            for document, pod in one.pods():
                for container in containers_of(pod):
                    where, security = (document["metadata"]["name"], container["name"]), container["securityContext"]
                    if where in {("holdfast-csi-node", "holdfast"), ("holdfast-csi-keeper", "keeper")}:
                        self.assertTrue(security["privileged"])
                        continue
                    self.assertFalse(security.get("privileged", False), where)
                    self.assertFalse(security["allowPrivilegeEscalation"], where)
                    if where[1] == "metrics":
                        self.assertTrue(security["runAsNonRoot"] and security["runAsUser"] == 7680)
                        self.assertTrue(all(m["readOnly"] for m in container["volumeMounts"]))
                    self.assertTrue(security["readOnlyRootFilesystem"], where)
                    self.assertEqual(["ALL"], security["capabilities"]["drop"], where)
                    self.assertEqual("RuntimeDefault", (security.get("seccompProfile") or pod["securityContext"]["seccompProfile"])["type"])
                on_host = [k for k in ("hostNetwork", "hostPID", "hostIPC") if pod.get(k)]
                self.assertEqual(["hostNetwork", "hostPID"] if document["metadata"]["name"] == "holdfast-csi-keeper" else [], on_host)
            lockd = one.named("StatefulSet", "holdfast-lockd")
            if lockd:
                self.assertEqual((True, 7680), (pod_of(lockd)["securityContext"]["runAsNonRoot"], pod_of(lockd)["securityContext"]["runAsUser"]))
        self.assertIn("--uid 7680", (ROOT / "deploy/container/furnish").read_text())

    def test_host_paths(self):
        allowed = {"holdfast-csi-keeper": {"kubelet", "run", "log", "fuse", "pod-names"}, "holdfast-csi-node": {"socket", "registration", "kubelet", "run"}, "holdfast-lockd": {"store"}}
        for one in self.each():
            for document, pod in one.pods():
                used = {v["name"] for v in pod["volumes"] if "hostPath" in v}
                self.assertLessEqual(used, allowed.get(document["metadata"]["name"], set()))

    def test_network(self):
        for one in self.each():
            policies = {p["metadata"]["name"]: p["spec"] for p in one.of("NetworkPolicy")}
            self.assertEqual(["Ingress", "Egress"], policies["holdfast-csi-node"]["policyTypes"])
            self.assertEqual([{"ports": [{"port": p, "protocol": "TCP"} for p in one.values["networkPolicy"]["apiPorts"]]}] if one.values["events"]["enabled"] else None,
                             policies["holdfast-csi-node"].get("egress"), "the node driver needs no network but for Events")
            monitored = one.values["monitoring"]["enabled"]
            self.assertEqual(monitored, "ingress" in policies["holdfast-csi-node"])
            if monitored:
                asked = [r for p in policies.values() for r in p.get("ingress", []) if r["ports"][0]["port"] != "lockd"]
                self.assertEqual(2 if one.values["lockd"]["enabled"] else 1, len(asked))
                for rule in asked:
                    self.assertEqual([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}], rule["from"])
            self.assertNotIn("ingress", policies["holdfast-csi-controller"])
        closed = {p["metadata"]["name"]: p["spec"] for p in self.rendered["closed"].of("NetworkPolicy")}
        self.assertEqual([{"ipBlock": {"cidr": "192.168.1.0/24"}}], closed["holdfast-lockd"]["ingress"][0]["from"])
        egress = closed["holdfast-csi-controller"]["egress"]
        self.assertEqual([{"ipBlock": {"cidr": "192.168.1.5/32"}}], egress[2]["to"])
        self.assertNotIn("ports", egress[2])

    def test_plain_text_only_if_asked_for(self):
        for one in self.each():
            keeper, lockd = one.named("DaemonSet", "holdfast-csi-keeper"), one.named("StatefulSet", "holdfast-lockd")
            tls = one.values["tls"]["enabled"]
            if lockd:
                words = pod_of(lockd)["containers"][0]["command"]
                self.assertEqual(tls, "--access=/etc/holdfast/tls/access" in words)
                self.assertEqual(not tls, "--allow-plain" in words)
            for document, secret in ((keeper, "nodesSecretName"), (lockd, "lockdSecretName")):
                if document:
                    names = [v["secret"]["secretName"] for v in pod_of(document)["volumes"] if v["name"] == "tls"]
                    self.assertEqual([one.values["tls"][secret]] if tls else [], names)
            self.assertEqual(tls or not lockd, "take any lock" not in render(VARIANTS[self.variant], "--notes").stdout)

    def test_all_lockds_have_one_access_list_and_see_it_change(self):
        for one in self.each():
            mounts = [m for _, pod in one.pods() for c in pod["containers"] for m in c.get("volumeMounts", []) if m["name"] == "tls"]
            # kubelet never renews what is mounted by subPath
            self.assertEqual([], [m for m in mounts if "subPath" in m or "subPathExpr" in m])
            lockds = [d for d, pod in one.pods() if any(w.startswith("--access=") for c in pod["containers"] for w in c.get("command", []))]
            self.assertLessEqual(len(lockds), 1, "replicas are pods of one template, with one secret")

    # --- seen from outside

    def test_monitors_find_their_services(self):
        one = self.rendered["monitored by an operator"]
        self.assertEqual(2, len(one.of("ServiceMonitor")))
        for monitor in one.of("ServiceMonitor"):
            services = [s for s in one.of("Service") if monitor["spec"]["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]
            self.assertEqual(1, len(services), "a pod is scraped once")
            self.assertIn(monitor["spec"]["endpoints"][0]["port"], [p["name"] for p in services[0]["spec"]["ports"]])
            self.assertEqual("prometheus", monitor["metadata"]["labels"]["release"])
        self.assertEqual(1, len(self.rendered["monitored elsewhere"].of("ServiceMonitor")))

    def test_rules_and_dashboard_are_those_of_deploy_monitoring(self):
        one = self.rendered["monitored by an operator"]
        self.assertEqual(yaml.safe_load((ROOT / "deploy/monitoring/alerts.yml").read_text()), one.of("PrometheusRule")[0]["spec"])
        self.assertEqual(json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text()), json.loads(one.of("ConfigMap")[0]["data"]["holdfast.json"]))

    def test_nothing_is_served_unless_asked_for(self):
        for one in self.each():
            ports = {p["containerPort"] for _, pod in one.pods() for c in pod["containers"] for p in c.get("ports", [])}
            self.assertEqual(one.values["monitoring"]["enabled"], bool(ports & {7681, 9681}))

    # --- fit for a Raspberry Pi

    def test_requests_are_small_and_limits_are_given(self):
        def mebibytes(text):
            return int(text.removesuffix("Mi"))
        for one in self.each():
            on_each_node = 0
            for document, pod in one.pods():
                for container in containers_of(pod):
                    resources = container["resources"]
                    self.assertNotIn("cpu", resources.get("limits", {}), "a limit of the CPU makes leases late")
                    if container["name"] != "keeper":
                        self.assertGreaterEqual(mebibytes(resources["limits"]["memory"]), mebibytes(resources["requests"]["memory"]))
                    if document["kind"] == "DaemonSet":
                        on_each_node += mebibytes(resources["requests"]["memory"])
            self.assertLessEqual(on_each_node, 144)


class ValuesTest(unittest.TestCase):
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    def refused(self, sets):
        return list(jsonschema.Draft7Validator(self.schema).iter_errors(values_of(sets)))

    def test_schema_is_one(self):
        jsonschema.Draft7Validator.check_schema(self.schema)

    def test_variants_are_valid(self):
        for name, sets in list(VARIANTS.items()) + [("plain", [])]:
            self.assertEqual([], [e.message for e in self.refused(sets)], name)
        plain = copy.deepcopy(self.defaults)
        plain.update(yaml.safe_load((ROOT / "deploy/helm/plain-values.yaml").read_text()))
        jsonschema.validate(plain, self.schema)

    def test_values_in_the_guide_are_valid(self):
        text = (ROOT / "docs/install-kubernetes.md").read_text()
        given = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
        self.assertEqual(1, len(given))
        jsonschema.validate(given[0], self.schema)
        for key, value in given[0].items():
            self.assertIn(key, self.defaults)

    def test_bad_values_are_refused(self):
        bad = [
            ["lockd.replicas=2"], ["lockd.replicas=0"], ["lockd.store.type=sqlite"], ["lockd.store.type=etcd"], ["lockd.store.type=hostPath"],
            ["lockd.enabled=false"], ["lockd.address=10.0.0.7:7680"], ["lockd.leaseTtl=0"], ["lockd.extraArgs[0]=x"], ["lockd.store.etcd.endpoints[0]=http://etcd"],
            ["lockd.logLevel=loud"], ["events.after=0"], ["events.enabled=30"], ["lockd.replica=1"], ["kubeletDir=var/lib/kubelet"], ["kubeletDir=/var/lib/kubelet/"],
            ["sidecars.registry=mirror.lan"], ["sidecars.provisioner=csi-provisioner"], ["image.pullPolicy=Sometimes"], ["controller.replicas=0"],
            ["csiDriver.fsGroupPolicy=Yes"], ["monitoring.rules=true"], ["tls.nodesSecretName="], ["tls.lockdSecretName=A_B"], ["networkPolicy.storage[0]=nas"], ["keeper.resources.limit.memory=1Gi"], ["node.resources.limits.memory=much"],
            NAS + ["storageClasses[0].share=volume1"], NAS + ["storageClasses[0].onDelete=keep"], NAS + ["storageClasses[0].subdir=x"], NAS[:2],
            NAS + ["storageClasses[0].mountPermissions=0999"], NAS + ["storageClasses[0].name=Nas"], ["strageClasses[0].name=nas"],
        ]
        for sets in bad:
            self.assertNotEqual([], self.refused(sets), sets)

    def test_what_the_schema_cannot_be_asked_for_is_refused_by_the_templates(self):
        result = render(["lockd.replicas=2"])
        self.assertNotEqual(0, result.returncode)
        self.assertIn("would both give the same lock", result.stderr)

    def test_schema_and_values_name_the_same(self):
        def compare(values, schema, path):
            if not isinstance(values, dict) or "properties" not in schema:
                return
            known = set(schema["properties"]) - {"global"}
            self.assertEqual(known, set(values), path)
            for key, value in values.items():
                inner = schema["properties"][key]
                compare(value, inner, f"{path}.{key}")
        compare({k: v for k, v in self.defaults.items()}, self.schema, "values")

    def test_every_value_is_explained(self):
        lines = (CHART / "values.yaml").read_text().splitlines()
        for before, line in zip(lines, lines[1:]):
            if re.match(r"\w", line):
                self.assertTrue(before.startswith("#"), f"{line} has no comment above it")

    def test_every_value_is_used(self):
        templates = "".join(p.read_text() for p in (CHART / "templates").iterdir())
        for key, value in self.defaults.items():
            for leaf in [key] if not isinstance(value, dict) else value:
                self.assertRegex(templates, rf"\.{leaf}\b", f"{key}.{leaf}")

    def test_notes_say_what_to_do_next(self):
        for name, sets in VARIANTS.items():
            notes = render(sets, "--notes").stdout
            self.assertIn("kubectl -n holdfast get pods", notes)
            self.assertEqual("storageClasses" in notes, name == "defaults")
            self.assertEqual("holdfast locks" in notes, "elsewhere" not in name)
            self.assertEqual("create secret generic holdfast-nodes" in notes, name != "plain text")


if __name__ == "__main__":
    if not shutil.which("go"):
        print("SKIP: Go is missing: tools/install-deps")
        sys.exit(77)
    unittest.main()
