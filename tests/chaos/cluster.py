"""A Holdfast of any number of nodes on one machine: nfs-ganesha and lockd in one network namespace, a mount in each other.

Nothing here touches a file below a mount: this program must not hang with them."""
import json
import os
import pathlib
import signal
import subprocess
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
NFS = REPO / "tests/support/nfs"
PORT = 7680
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
MOUNT_PATIENCE_S = 90


class Broken(Exception):
    """The run itself does not work: no verdict."""


def now():
    return time.monotonic()


def wait_for(condition, seconds, what, nap=0.02):
    until = now() + seconds
    while not condition():
        if now() > until:
            raise Broken(f"{what}: not within {seconds} s")
        time.sleep(nap)


def stop(process):
    process.send_signal(signal.SIGSTOP)


def go_on(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGCONT)


class Cluster:
    """One lockd with a store in a file. `Replicas` has more of them."""
    others = []  # namespaces beside those of the mounts

    def __init__(self, bin_dir, top, name, nodes, ttl):
        self.bin = pathlib.Path(bin_dir).resolve()
        self.top = pathlib.Path(top)
        self.name, self.nodes, self.ttl = name, list(nodes), ttl
        self.title, self.index = name, 0
        self.cache = os.environ.get("HOLDFAST_TEST_CACHE", "none")  # of the mounts: -o cache=
        self.log = self.top / "log"
        self.export = self.top / "export"
        self.socket = str(self.top / "lockd.sock")
        self.lockd = None
        self.mounts = {}

    # -- building and taking down
    def up(self):
        for directory in [self.log, self.export, self.top / "nfs", self.top / "clock"] + [self.at(n) for n in self.nodes]:
            directory.mkdir(parents=True, exist_ok=True)
        os.chmod(self.top, 0o755)
        os.chmod(self.export, 0o1777)
        (self.export / "probe").mkdir(exist_ok=True)
        self.run([NFS / "testnet", "up", self.name] + self.nodes + self.others)
        for node in self.nodes + self.others:
            rules = ["add table inet chaos"]
            for way, hook in [("out", "output"), ("in", "input")]:
                for peer in ["lockd", "nfs", "etcd", "all"]:
                    rules.append(f"add chain inet chaos {peer}_{way} {{ type filter hook {hook} priority 0 ; }}")
            self.nft(node, "\n".join(rules))
        self.ns_run("srv", [NFS / "ganesha", "start", self.export, self.top / "nfs", "--owner", str(os.getpid())])
        self.lockd_start()
        for node in self.nodes:
            self.mount(node)

    def down(self):
        for node in self.nodes:
            go_on(self.mounts.get(node))
            self.heal(node, "lockd", quiet=True)
            self.heal(node, "nfs", quiet=True)
        for node in self.nodes:
            if self.mounted(node):
                subprocess.run(["timeout", "20", self.bin / "holdfast", "unmount", self.at(node)], capture_output=True)
            if self.mounted(node):
                subprocess.run(["umount", "-l", self.at(node)], capture_output=True)
            self.end(self.mounts.get(node))
        self.coordinators_down()
        subprocess.run([NFS / "ganesha", "stop", self.top / "nfs"], capture_output=True)
        subprocess.run([NFS / "testnet", "down", self.name], capture_output=True)

    @staticmethod
    def end(process):
        if process and process.poll() is None:
            process.kill()
            process.wait()

    def coordinators(self):
        return ["lockd"]

    def coordinators_down(self):
        go_on(self.lockd)
        self.end(self.lockd)

    # -- helpers
    def at(self, node):
        return self.top / node

    @staticmethod
    def run(command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Broken(f"{' '.join(str(c) for c in command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def in_ns(self, node, command):
        return ["nsenter", f"--net=/run/netns/{self.name}-{node}", "--"] + [str(c) for c in command]

    def ns_run(self, node, command):
        # Output to a file: what a daemon inherits would keep a pipe open.
        with open(self.log / "commands.log", "ab") as log:
            if subprocess.run(self.in_ns(node, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode != 0:
                raise Broken(f"{command} failed, see {log.name}")

    def nft(self, node, rule, quiet=False):
        done = subprocess.run(self.in_ns(node, ["nft", rule]), capture_output=True, text=True)
        if done.returncode != 0 and not quiet:
            raise Broken(f"nft {rule}: {done.stderr}")

    def environment(self, who):
        path = self.top / "clock" / who
        return dict(os.environ, LD_PRELOAD=str(self.bin / "libclock_jump.so"), CLOCK_JUMP_FILE=str(path))

    def jump_clock(self, who, seconds):
        path = self.top / "clock" / who
        temporary = path.with_suffix(".new")
        temporary.write_text(str(seconds))
        temporary.replace(path)

    # -- parts
    def spawn(self, node, who, command):
        with open(self.log / f"{who}.log", "ab") as log:
            # A session of its own: ^C ends the run in order, not its parts.
            return subprocess.Popen(self.in_ns(node, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=self.environment(who), start_new_session=True)

    def lockd_start(self):
        command = [self.bin / "holdfast-lockd", "--listen", f"10.77.0.1:{PORT}", "--allow-plain", "--admin", self.socket,
                   "--lease-ttl", str(self.ttl), "--store", self.top / "lockd.db"]
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.lockd = self.spawn("srv", "lockd", command)
        wait_for(lambda: os.path.exists(self.socket) or self.lockd.poll() is not None, 30, "start of lockd")
        if self.lockd.poll() is not None:
            raise Broken("lockd ended at once: " + (self.log / "lockd.log").read_text()[-600:])

    def lockd_kill(self):
        self.end(self.lockd)

    def nfs_kill(self):
        self.run([NFS / "ganesha", "kill9", self.top / "nfs"])

    def nfs_restart(self):
        self.ns_run("srv", [NFS / "ganesha", "restart", self.top / "nfs"])

    def mounted(self, node):
        return any(line.split()[1] == str(self.at(node)) for line in open("/proc/self/mounts"))

    def mount(self, node):
        """Tries until it works: servers may be away."""
        until = now() + MOUNT_PATIENCE_S
        while True:
            process = self.spawn(node, node, [
                self.bin / "holdfast", "mount", "-f", "10.77.0.1:/export", self.at(node),
                "-o", f"lockd={self.lockd_option()},lockd_wait=60,cache={self.cache},log={self.log}/{node}.log"])
            self.mounts[node] = process
            while process.poll() is None and not self.mounted(node) and now() < until:
                time.sleep(0.02)
            if process.poll() is None and self.mounted(node):
                return
            if now() > until:
                self.end(process)
                raise Broken(f"mount of {node}: not within {MOUNT_PATIENCE_S} s, see {self.log}/{node}.log")
            time.sleep(0.2)

    def lockd_option(self):
        return f"10.77.0.1:{PORT}"

    def lockd_address(self):
        """HOST PORT of one that listens."""
        return ["10.77.0.1", str(PORT)]

    def mount_kill(self, node):
        self.end(self.mounts[node])

    def clear_dead_mount(self, node):
        while self.mounted(node):
            self.run(["umount", "-l", self.at(node)])

    def cut(self, node, peer, way="both"):
        """All packets to (`out`) or from (`in`) that peer's ports are dropped; peer "all": everything but loopback."""
        port = {"lockd": f"{PORT}", "nfs": "{ 111, 2049, 20048 }", "etcd": f"{ETCD_PORT}"}.get(peer)
        if way in ("both", "out"):
            self.nft(node, f"add rule inet chaos {peer}_out " + (f"tcp dport {port} drop" if port else "oifname != lo drop"))
        if way in ("both", "in"):
            self.nft(node, f"add rule inet chaos {peer}_in " + (f"tcp sport {port} drop" if port else "iifname != lo drop"))

    def heal(self, node, peer, quiet=False):
        for way in ["out", "in"]:
            self.nft(node, f"flush chain inet chaos {peer}_{way}", quiet)

    # -- faults of the coordinator, as others see it (Replicas: all replicas)
    def coordinators_kill(self):
        self.lockd_kill()

    def coordinators_start(self):
        self.lockd_start()

    def daemons(self):
        """(what, process number) of each that runs."""
        found = [("mount", process) for process in list(self.mounts.values())] + self.lockd_processes()
        return [(what, process.pid) for what, process in found if process and process.poll() is None]

    def ended(self):
        """Violations: daemons that are gone though nobody killed them."""
        found = [(f"mount {node}", process) for node, process in self.mounts.items()] + self.lockd_processes()
        return [f"O6: {what} has ended by itself, exit code {process.poll()}" for what, process in found if process and process.poll() is not None]

    def lockd_processes(self):
        return [("lockd", self.lockd)]

    # -- looking
    def ask(self, what):
        done = subprocess.run([self.bin / "holdfast", what, "--socket", self.admin_socket(), "--json"], capture_output=True,
                              text=True, timeout=30)
        if done.returncode != 0:
            raise Broken(f"holdfast {what}: {done.stderr}")
        return json.loads(done.stdout)[what]

    def admin_socket(self):
        return self.socket

    def serving(self):
        """The lockd that serves."""
        return self.lockd

    @staticmethod
    def descriptors(process):
        return len(os.listdir(f"/proc/{process.pid}/fd"))
