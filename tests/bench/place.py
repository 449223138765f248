"""Where the measurements happen: scratch space, mail, Dovecot, the delay line.

Nothing leaves loopback, and all of it goes away with the process. When root
measures, Dovecot and all programs run as nobody.
"""

import math
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = "open-sesame-7531"
HOST = "127.0.0.1"
START_LIMIT_SEC = 30


def find_program(name):
    """Its path, or None. Not every user has the administrator's path."""
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def wait_until(condition, what):
    end = time.monotonic() + START_LIMIT_SEC
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"in vain: waited for {what}")
        time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class MailSet:
    """Messages of log-normal sizes, the same for the same arguments.

    Their names carry both sizes, as Dovecot's own delivery writes them, so that
    the server need not read all mail before it can list it.
    """

    def __init__(self, directory, count, mean_bytes, sigma=1.0, seed=4):
        self.directory = directory
        self.count = count
        self.bytes = 0
        rng = random.Random(seed)
        filler = self._filler(rng)
        mu = math.log(mean_bytes) - sigma * sigma / 2
        os.makedirs(directory)
        self.names = [
            self._write(i, int(rng.lognormvariate(mu, sigma)) if sigma else mean_bytes,
                        filler, rng.randrange(len(filler) // 2))
            for i in range(count)
        ]

    @staticmethod
    def _filler(rng):
        """A megabyte of lines, one in fifty beginning with a dot."""
        lines = []
        for _ in range(14000):
            line = rng.randbytes(37).hex()
            lines.append("." + line if rng.random() < 0.02 else line)
        return ("\n".join(lines) + "\n").encode()

    def _write(self, i, size, filler, at):
        head = (f"Return-Path: <sender{i}@example.org>\n"
                f"Received: from mx.example.org (mx.example.org [192.0.2.1])\n"
                f"\tby mail.example.com with ESMTPS id {i:08x}\n"
                f"\tfor <reader@example.com>; Sat, 21 Nov 2026 10:00:00 +0000\n"
                f"From: Sender <sender{i}@example.org>\nTo: reader@example.com\n"
                f"Subject: measurement {i}\nDate: Sat, 21 Nov 2026 10:00:00 +0000\n"
                f"Message-ID: <{i}.bench@example.org>\nMIME-Version: 1.0\n"
                f"Content-Type: text/plain; charset=us-ascii\n\n").encode()
        wanted = max(size - len(head), 1)
        body = filler[at:at + wanted]
        if len(body) < wanted:
            body = (filler * (wanted // len(filler) + 1))[:wanted]
        stored = len(head) + wanted + 1
        wire = stored + head.count(b"\n") + body.count(b"\n") + 1
        name = f"{1700000000 + i}.M{i}.bench,S={stored},W={wire}"
        with open(f"{self.directory}/{name}", "wb") as file:
            file.write(head + body + b"\n")
        self.bytes += wire
        return name


class Place:
    def __init__(self, build_dir, disk_dir):
        self.build_dir = build_dir
        if os.getuid() == 0:
            user = pwd.getpwuid(65534)
        else:
            user = pwd.getpwuid(os.getuid())
        self.user, self.uid, self.gid = user.pw_name, user.pw_uid, user.pw_gid
        self.processes = []
        self.sets = {}
        self.port = free_port()
        self.line_port = free_port()
        self.disk = self._scratch(disk_dir)
        if self._file_system(self.disk) == "tmpfs":
            warn(f"{disk_dir} is in memory: flushes cost nothing there")
        self.memory = self._scratch("/dev/shm")
        self.store = f"{self.memory}/store"
        self.bin = f"{self.disk}/bin"
        os.mkdir(self.bin)
        self.own(self.make_dir(self.store))

    @staticmethod
    def _scratch(base):
        path = tempfile.mkdtemp(prefix="mailhaul-bench.", dir=base)
        os.chmod(path, 0o711)
        return path

    @staticmethod
    def _file_system(path):
        return subprocess.run(["stat", "-f", "-c", "%T", path], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait()
        shutil.rmtree(self.disk, ignore_errors=True)
        shutil.rmtree(self.memory, ignore_errors=True)

    # --- files and processes of the user

    def make_dir(self, path, mode=0o700):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def discard(self, path):
        """Out of the way. On the disk it is removed at the very end: where many
        files were removed a moment ago, ext4 looks through all of their inodes
        for each new file, and the next program would pay for it.
        """
        if not path.startswith(self.disk + "/"):
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            os.rename(path, tempfile.mkdtemp(prefix="discarded.", dir=self.disk))

    def own(self, path):
        """All of it becomes the user's."""
        if os.getuid() != 0:
            return
        os.lchown(path, self.uid, self.gid)
        for root, dirs, files in os.walk(path):
            for name in dirs + files:
                os.lchown(f"{root}/{name}", self.uid, self.gid)

    def as_user(self):
        """Arguments that make a subprocess the user's."""
        if os.getuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def built(self, name):
        """A program of the build, where the user may run it."""
        source = f"{self.build_dir}/{name}"
        copy = f"{self.bin}/{os.path.basename(name)}"
        if not os.path.exists(source):
            sys.exit(f"{source} is missing: make bench builds it")
        if not os.path.exists(copy):
            shutil.copy(source, copy)
            os.chmod(copy, 0o755)
        return copy

    # --- mail

    def mail_set(self, count, mean_bytes, sigma=1.0):
        key = (count, mean_bytes, sigma)
        if key not in self.sets:
            path = f"{self.memory}/set-{count}-{mean_bytes}-{sigma}"
            self.sets[key] = MailSet(path, count, mean_bytes, sigma)
            self.own(path)
        return self.sets[key]

    def clear_box(self, user):
        """An empty mailbox that the server has never seen."""
        box = f"{self.store}/{user}"
        shutil.rmtree(box, ignore_errors=True)
        for name in ("cur", "new", "tmp"):
            self.make_dir(f"{box}/{name}")
        self.own(box)

    def fill_box(self, user, mail_set):
        """Links, so that a mailbox costs no memory."""
        for name in mail_set.names:
            os.link(f"{mail_set.directory}/{name}", f"{self.store}/{user}/new/{name}")

    def on_server(self, user):
        box = f"{self.store}/{user}"
        return len(os.listdir(f"{box}/new")) + len(os.listdir(f"{box}/cur"))

    # --- the server

    def start_dovecot(self):
        player = self.built("pop3-player")
        subprocess.run([player, "ca", f"{self.disk}/ca"], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["chmod", "-R", "a+rX", f"{self.disk}/ca"], check=True)
        self.ca = f"{self.disk}/ca/ca.pem"

        home = self.make_dir(f"{self.memory}/dovecot")
        for name in ("run", "state"):
            os.mkdir(f"{home}/{name}")
        for ending in ("pem", "key"):
            shutil.copy(f"{self.disk}/ca/good.{ending}", f"{home}/cert.{ending}")
        with open(f"{home}/dovecot.conf", "w", encoding="ascii") as file:
            file.write(self._dovecot_configuration(home))
        self.own(home)
        with open(f"{home}/output", "wb") as output:
            process = subprocess.Popen([find_program("dovecot"), "-F", "-c", f"{home}/dovecot.conf"],
                                       stdout=output, stderr=output, **self.as_user())
        self.processes.append(process)
        self.dovecot_log = f"{home}/log"
        wait_until(lambda: self._listens(process), "Dovecot")

    def _listens(self, process):
        if process.poll() is not None:
            raise RuntimeError(f"Dovecot does not start: see {self.memory}/dovecot")
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def _dovecot_configuration(self, home):
        group = subprocess.run(["id", "-gn", str(self.uid)], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.strip()
        return f"""
            base_dir = {home}/run
            state_dir = {home}/state
            log_path = {home}/log
            protocols = pop3
            listen = {HOST}
            default_login_user = {self.user}
            default_internal_user = {self.user}
            default_internal_group = {group}
            default_process_limit = 1000
            default_client_limit = 4000
            default_vsz_limit = 4G
            first_valid_uid = 0
            ssl = yes
            ssl_cert = <{home}/cert.pem
            ssl_key = <{home}/cert.key
            disable_plaintext_auth = no
            auth_mechanisms = plain
            auth_failure_delay = 0
            mail_location = maildir:{self.store}/%u
            mail_fsync = never
            mail_max_userip_connections = 0
            passdb {{
              driver = static
              args = password={PASSWORD}
            }}
            userdb {{
              driver = static
              args = uid={self.uid} gid={self.gid} home={self.store}/%u
            }}
            service anvil {{
              chroot =
              unix_listener anvil-auth-penalty {{
                mode = 0
              }}
            }}
            # Processes are kept, so that the server's forks are not measured.
            service pop3-login {{
              chroot =
              service_count = 0
              process_min_avail = 2
              inet_listener pop3 {{
                port = 0
              }}
              inet_listener pop3s {{
                port = {self.port}
              }}
            }}
            service pop3 {{
              service_count = 0
              process_min_avail = 2
            }}
        """

    # --- the line

    def line(self, rtt_msec):
        return Line(self, rtt_msec)


class Line:
    """The way to the server that programs are told, long or short; always at
    the same port, since what is known of a server is known by its port."""

    def __init__(self, place, rtt_msec):
        self.rtt_sec = rtt_msec / 1000
        self.process = subprocess.Popen(
            [place.built("tests/bench/delay-line"), "--port", str(place.line_port),
             "--to", f"{HOST}:{place.port}", "--rtt-ms", str(rtt_msec)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise RuntimeError(self.process.stderr.read())

    def close(self):
        """Returns the round trips of all its connections, and how many those were."""
        time.sleep(2 * self.rtt_sec + 0.05)  # the last goodbye arrives
        self.process.terminate()
        said = self.process.communicate()[1]
        numbers = dict(word.split("=") for word in said.splitlines()[-1].split()[1:])
        return int(numbers["round_trips"]), int(numbers["connections"])


def warn(text):
    print(text, file=sys.stderr, flush=True)
