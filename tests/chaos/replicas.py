"""A cluster whose coordinator is two lockds on etcd, each in a network namespace of its own, and so each member of etcd."""
import pathlib
import re
import shutil
import subprocess

from cluster import ETCD_PEER_PORT, ETCD_PORT, PORT, Broken, Cluster, go_on, wait_for

STATE = re.compile(rb"lockd\.(standby|leading|deposed)\b[^\n]*")
EPOCH = re.compile(rb"epoch=(\d+)")
LEADER_TTL = 3
LEADER_PATIENCE_S = 60


def etcd_is_here(bin_dir):
    """etcd, and a lockd that was built with it."""
    usage = subprocess.run([pathlib.Path(bin_dir) / "holdfast-lockd", "--help"], capture_output=True, text=True).stdout
    return shutil.which("etcd") is not None and "etcd" in usage


class Replicas(Cluster):
    def __init__(self, bin_dir, top, name, nodes, ttl, members=3):
        super().__init__(bin_dir, top, name, nodes, ttl)
        self.lockds = {"l1": None, "l2": None}
        self.members = {f"e{i + 1}": None for i in range(members)}
        self.said_from = {}  # where in its log the present life of a replica begins
        self.others = list(self.lockds) + list(self.members)

    def address(self, part):
        return f"10.77.0.{2 + (self.nodes + self.others).index(part)}"

    def socket_of(self, name):
        return str(self.top / f"{name}.sock")

    # -- etcd
    def etcd_start(self, name):
        peers = ",".join(f"{m}=http://{self.address(m)}:{ETCD_PEER_PORT}" for m in self.members)
        peer, client = f"http://{self.address(name)}:{ETCD_PEER_PORT}", f"http://{self.address(name)}:{ETCD_PORT}"
        self.members[name] = self.spawn(name, name, [
            "etcd", "--name", name, "--data-dir", self.top / f"etcd-{name}", "--initial-cluster", peers,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--listen-client-urls", client, "--advertise-client-urls", client,
            # Calm enough for a loaded machine; the shortest lease etcd grants is 1.5 elections.
            "--heartbeat-interval", "150", "--election-timeout", "1500", "--logger", "zap", "--log-level", "warn"])

    # -- lockd
    def lockd_start(self):
        for name in self.members:
            self.etcd_start(name)
        self.coordinators_only_start()
        wait_for(self.leader, LEADER_PATIENCE_S, "a leader")

    def coordinators_only_start(self):
        for name in self.lockds:
            self.replica_start(name)

    def replica_start(self, name):
        log = self.log / f"{name}.log"
        self.said_from[name] = log.stat().st_size if log.exists() else 0
        store = "etcd://" + ",".join(f"{self.address(m)}:{ETCD_PORT}" for m in self.members)
        self.lockds[name] = self.spawn(name, name, [
            self.bin / "holdfast-lockd", "--listen", f"{self.address(name)}:{PORT}", "--allow-plain", "--admin", self.socket_of(name),
            "--lease-ttl", str(self.ttl), "--store", store, "--leader-ttl", str(LEADER_TTL)])

    def lockd_option(self):
        return "/".join(f"{self.address(name)}:{PORT}" for name in self.lockds)

    def lockd_address(self):
        return [self.address(self.must_lead()), str(PORT)]

    def state(self, name):
        """(state, epoch) by its log, None if it does not run."""
        process = self.lockds[name]
        if process is None or process.poll() is not None:
            return None
        with open(self.log / f"{name}.log", "rb") as log:
            log.seek(self.said_from[name])
            said = list(STATE.finditer(log.read()))
        if not said:
            return None
        epoch = EPOCH.search(said[-1].group(0))
        return said[-1].group(1).decode(), int(epoch.group(1)) if epoch else 0

    def leader(self):
        leading = [(state[1], name) for name in self.lockds if (state := self.state(name)) and state[0] == "leading"]
        return max(leading)[1] if leading else None

    def must_lead(self):
        wait_for(self.leader, LEADER_PATIENCE_S, "a leader")
        return self.leader()

    def serving(self):
        return self.lockds[self.must_lead()]

    def admin_socket(self):
        return self.socket_of(self.must_lead())

    def lockd_processes(self):
        return [("replica", process) for process in list(self.lockds.values())]

    # -- faults
    def coordinators(self):
        return list(self.lockds)

    def coordinators_kill(self):
        for process in list(self.lockds.values()) + list(self.members.values()):
            self.end(process)

    def coordinators_start(self):
        self.lockd_start()

    def coordinators_down(self):
        for process in list(self.lockds.values()) + list(self.members.values()):
            go_on(process)
            self.end(process)

    def lockd_kill(self):
        raise Broken("no single lockd here")
