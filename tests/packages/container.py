#!/usr/bin/env python3
"""Starts a container of a pod as kubelet and a container runtime do, without either.

  container.py list FILE...                          the containers of our image, POD/CONTAINER a line
  container.py run NODE FILE POD CONTAINER           becomes it; its own process is the first child of this one
  container.py exec NODE FILE POD CONTAINER PID WORD...   in the one whose own process is PID, as "kubectl exec" does
  container.py probe NODE FILE POD CONTAINER PID     its liveness probe, the same way

FILE has the manifests. Of them come the words, the environment, the user and the groups, the capabilities, no_new_privs, a
root that is read-only or not, the volumes at their places (read-only or not, and how mounts in them spread), namespaces of
mounts, IPC, host name and processes. Not done, and so not tested: a network of its own, the runtime's seccomp filter and
device list, limits of memory, a cgroup namespace.

NODE is a directory with what the machine and the cluster have:
  layers        what is below each container's own layer: the image, as overlayfs's lowerdir
  environment   NAME=VALUE lines: what Kubernetes gives each container
  hosts         for /etc/hosts: the names that the cluster's DNS knows
  host/         the machine's root, for hostPath
  secrets/NAME/ the secrets; of "kubernetes" token and ca.crt
  claims/NAME   link to where the volume of that claim is mounted on the node
  pods/POD/     made here: emptyDirs, secrets as kubelet writes them
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import yaml

OUR_IMAGE = "holdfast:"
# What containerd, CRI-O and docker give a container that asks for nothing.
USUAL = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,audit_write,setfcap".split(",")
SPREADS = {"Bidirectional": "rshared", "HostToContainer": "rslave", "None": "rprivate"}


def pods_of(file):
    for document in yaml.safe_load_all(pathlib.Path(file).read_text()):
        if document and document["kind"] == "Pod":
            yield document["metadata"]["name"], document["spec"], []
        elif document and "template" in document.get("spec", {}):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"], document["spec"].get("volumeClaimTemplates", [])


def do(*words):
    subprocess.run([str(w) for w in words], check=True)


class Container:
    def __init__(self, node, file, pod, container):
        self.node, self.pod, self.name = pathlib.Path(node).resolve(), pod, container
        self.spec, claims = next((spec, claims) for name, spec, claims in pods_of(file) if name == pod)
        self.own = next(c for c in self.spec["containers"] + self.spec.get("initContainers", []) if c["name"] == container)
        self.volumes = {v["name"]: v for v in self.spec.get("volumes", [])}
        self.volumes |= {c["metadata"]["name"]: {"claimTemplate": {}} for c in claims}
        self.security = self.spec.get("securityContext", {}) | self.own.get("securityContext", {})
        self.group = self.security.get("fsGroup")
        self.root = self.node / "containers" / f"{pod}.{container}" / "root"

    # --- the pod's volumes, as kubelet makes them: once for all its containers

    def volume(self, name):
        kind = next(k for k in self.volumes[name] if k != "name")
        return getattr(self, kind)(self.node / "pods" / self.pod / name, self.volumes[name][kind])

    def made(self, path, mode):
        """A directory that is given to fsGroup."""
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(mode)
            if self.group is not None:
                os.chown(path, -1, self.group)
                path.chmod(mode | 0o2770)
        return path

    def emptyDir(self, path, _):
        return self.made(path, 0o777)

    def claimTemplate(self, path, _):
        return self.made(path, 0o755)

    def persistentVolumeClaim(self, _, source):
        return (self.node / "claims" / source["claimName"]).resolve(strict=True)

    def hostPath(self, _, source):
        path = self.node / "host" / source["path"].lstrip("/")
        kind = source.get("type", "")
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        if (kind.startswith("Directory") and not path.is_dir()) or (kind == "CharDevice" and not path.is_char_device()):
            sys.exit(f"hostPath type check failed: {source['path']} is not a {kind}")
        return path

    def secret(self, path, source):
        return self.files(path, source.get("defaultMode", 0o644), (self.node / "secrets" / source["secretName"]).iterdir())

    def projected(self, path, source):
        names = {"serviceAccountToken": lambda s: [s["path"]], "configMap": lambda s: [i["path"] for i in s["items"]]}
        wanted = [n for one in source["sources"] for kind, s in one.items() for n in names[kind](s)]
        return self.files(path, source.get("defaultMode", 0o644), [self.node / "secrets/kubernetes" / n for n in wanted])

    def files(self, path, mode, sources):
        path.mkdir(parents=True, exist_ok=True)
        for source in sources:
            new = path / f".{source.name}"
            shutil.copyfile(source, new)
            new.chmod(mode)
            if self.group is not None:
                os.chown(new, -1, self.group)
                new.chmod(mode | 0o440)
            new.rename(path / source.name)
        return path

    # --- its root; called in namespaces of its own

    def build_root(self):
        layer = self.root.parent / "layer"
        for directory in (self.root, layer):
            directory.mkdir(parents=True, exist_ok=True)
        do("mount", "-t", "tmpfs", "tmpfs", layer)
        (layer / "upper").mkdir()
        (layer / "work").mkdir()
        layers = (self.node / "layers").read_text().strip()
        do("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={layer}/upper,workdir={layer}/work", self.root)
        do("mount", "-t", "proc", "proc", self.root / "proc")
        do("mount", "-t", "sysfs", "-o", "rw" if self.security.get("privileged") else "ro", "sysfs", self.root / "sys")
        self.build_devices(self.root / "dev")
        self.bind(self.node / "hosts", "/etc/hosts", read_only=True)
        for mount in sorted(self.own.get("volumeMounts", []), key=lambda m: m["mountPath"]):
            self.bind(self.volume(mount["name"]), mount["mountPath"], mount.get("readOnly", False), mount.get("mountPropagation", "None"))
        if self.security.get("readOnlyRootFilesystem"):
            do("mount", "-o", "remount,ro", self.root)

    @staticmethod
    def build_devices(dev):
        do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", dev)
        for device in ("null", "zero", "full", "random", "urandom", "tty"):
            (dev / device).touch()
            do("mount", "--bind", f"/dev/{device}", dev / device)
        (dev / "shm").mkdir()
        do("mount", "-t", "tmpfs", "tmpfs", dev / "shm")
        (dev / "fd").symlink_to("/proc/self/fd")

    def bind(self, source, place, read_only=False, spread="None"):
        # As the container sees it: /var/run is a link to /run.
        inside = subprocess.run(["chroot", self.root, "realpath", "-m", place], check=True, capture_output=True, text=True).stdout.strip()
        place = self.root / inside.lstrip("/")
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        do("mount", "--rbind", source, place)
        do("mount", f"--make-{SPREADS[spread]}", place)
        if read_only:
            do("mount", "-o", "remount,bind,ro", place)

    # --- its process

    def privileges(self):
        """The words of setpriv, which every image of Debian has."""
        user, groups = self.security.get("runAsUser", 0), [str(g) for g in [self.group] if g is not None]
        words = ["--reuid", str(user), "--regid", str(self.security.get("runAsGroup", 0))]
        words += ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
        if self.security.get("runAsNonRoot") and user == 0:
            sys.exit("container has runAsNonRoot and image will run as root")
        if not self.security.get("privileged"):
            asked = self.security.get("capabilities", {})
            kept = set() if asked.get("drop") == ["ALL"] else set(USUAL)
            kept |= {c.lower() for c in asked.get("add", [])}
            words += ["--bounding-set", ",".join(["-all"] + [f"+{c}" for c in sorted(kept)]), "--inh-caps=-all"]
            if self.security.get("allowPrivilegeEscalation") is False:
                words.append("--no-new-privs")
        return ["setpriv"] + words

    def environment(self):
        out = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "HOSTNAME": self.host()}
        for line in (self.node / "environment").read_text().splitlines():
            name, out[name] = line.split("=", 1)[0], line.split("=", 1)[1]
        for one in self.own.get("env", []):
            fields = {"spec.nodeName": "node-a"}
            out[one["name"]] = one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        return out

    def host(self):
        return "node-a" if self.spec.get("hostNetwork") else self.pod

    def words(self):
        words = self.own.get("command", []) + self.own.get("args", [])
        for name, value in self.environment().items():
            words = [w.replace(f"$({name})", value) for w in words]
        return words

    def run(self):
        processes = [] if self.spec.get("hostPID") else ["--pid"]
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "unchanged", "--ipc", "--uts", *processes, "--fork", "--kill-child=KILL",
                              sys.executable, __file__, "become", *sys.argv[2:]])

    def become(self):
        words, environment = self.privileges() + self.words(), self.environment()
        socket.sethostname(self.host())
        self.build_root()
        os.chroot(self.root)
        os.chdir("/")
        os.execvpe("setpriv", words, environment)

    def enter(self, pid, words):
        inside = ["env", "-i", *(f"{n}={v}" for n, v in self.environment().items()), *self.privileges(), *words]
        os.execvp("nsenter", ["nsenter", "--target", pid, "--mount", "--ipc", "--uts", "--pid", "--root", "--wd", *inside])


if __name__ == "__main__":
    action, *rest = sys.argv[1:]
    if action == "list":
        for file in rest:
            for pod, spec, _ in pods_of(file):
                for container in spec["containers"] + spec.get("initContainers", []):
                    if container["image"].startswith(OUR_IMAGE):
                        print(f"{pod}/{container['name']}")
    elif action in ("run", "become"):
        getattr(Container(*rest), action)()
    else:
        one = Container(*rest[:4])
        one.enter(rest[4], rest[5:] if action == "exec" else one.own["livenessProbe"]["exec"]["command"])
