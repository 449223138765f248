"""The programs that are measured, each as its users would best configure it.

All deliver into Maildirs on the same disk, check the server's certificate, and
remember by UIDL what they have seen when mail stays on the server.
"""

import os
import time

from place import HOST, PASSWORD, find_program


class Program:
    name = ""
    packages = {}  # what it needs, by program
    has_workers = False
    is_limit = False  # no fetcher: nothing is remembered, nothing deleted
    success = (0,)

    def __init__(self, place, base):
        self.place = place
        self.home = f"{base}/{self.name}"
        self.mail = f"{self.home}/mail"
        self.users = []
        self.port = place.port
        self.source = None  # the directory whose files the server has
        self.binary = self.find()

    def find(self):
        return find_program(self.name)

    def reset(self, users, port, keep):
        """Nothing delivered, nothing known; configured for these users."""
        self.users, self.port, self.keep = users, port, keep
        self.place.discard(self.home)
        for user in users:
            for name in ("cur", "new", "tmp"):
                os.makedirs(f"{self.mail}/{user}/{name}")
        self.configure()
        self.place.own(self.home)

    def write(self, name, text):
        """A file of the configuration: the user's own, since it has passwords."""
        path = f"{self.home}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  encoding="ascii") as file:
            file.write(text)
        return path

    def environment(self):
        return {"HOME": self.home, "PATH": os.environ["PATH"], "LC_ALL": "C",
                "TMPDIR": self.home, "USER": self.place.user,
                "LOGNAME": self.place.user}

    def is_success(self, status):
        return status in self.success

    def delivered(self):
        return sum(len(os.listdir(f"{self.mail}/{user}/new")) for user in self.users)

    def forget_mail(self):
        """What was delivered goes; what is known stays."""
        for user in self.users:
            self.place.discard(f"{self.mail}/{user}/new")
            os.mkdir(f"{self.mail}/{user}/new", 0o700)
            self.place.own(f"{self.mail}/{user}/new")

    def learn(self, uids):
        """Makes these UIDs known as a visit would; False when it must visit."""
        del uids
        return False

    def remove(self):
        self.place.discard(self.home)

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError


class Mailhaul(Program):
    name = "mailhaul"
    has_workers = True

    def find(self):
        return self.place.built("mailhaul")

    def configure(self):
        text = "daemon: { max_workers = 100; max_per_host = 100; };\naccounts: {\n"
        for user in self.users:
            keep = 'keep = "forever"; ' if self.keep else ""
            text += (f'{user}: {{ host = "{HOST}"; port = {self.port}; '
                     f'tls = "implicit"; ca_file = "{self.place.ca}"; '
                     f'username = "{user}"; password = "{PASSWORD}"; {keep}'
                     f'maildir = "{self.mail}/{user}"; }};\n')
        self.write(".config/mailhaul/mailhaul.conf", text + "};\n")

    def command(self):
        return [self.binary, "--once"]


class Mpop(Program):
    """It pipelines by itself. One account after the other."""

    name = "mpop"
    packages = {"mpop": "mpop"}

    def configure(self):
        text = (f"defaults\nhost {HOST}\nport {self.port}\ntls on\ntls_starttls off\n"
                f"tls_trust_file {self.place.ca}\npassword {PASSWORD}\n"
                f"keep {'on' if self.keep else 'off'}\npipelining auto\n"
                f"uidls_file {self.home}/uidls/%U\n")
        for user in self.users:
            text += f"account {user}\nuser {user}\ndelivery maildir {self.mail}/{user}\n"
        self.write(".mpoprc", text)

    def command(self):
        return [self.binary, "--all-accounts", "--quiet"]


class Fdm(Program):
    """It takes all accounts at once."""

    name = "fdm"
    packages = {"fdm": "fdm"}

    def configure(self):
        cache = f' new-only cache "{self.home}/cache-%[account]"' if self.keep else ""
        text = (f'set lock-file "{self.home}/lock"\n'
                "set parallel-accounts 100\nset maximum-size 1G\n"
                "set verify-certificates\n"
                f'action "deliver" maildir "{self.mail}/%[account]"\n')
        for user in self.users:
            text += (f'account "{user}" pop3s server "{HOST}" port {self.port} '
                     f'user "{user}" pass "{PASSWORD}"'
                     f'{cache.replace("%[account]", user)}'
                     f'{" keep" if self.keep else ""}\n')
        self.write(".fdm.conf", text + 'match all action "deliver"\n')

    def learn(self, uids):
        text = "".join(f"{len(uid)} {uid}\n" for uid in uids)
        self.write(f"cache-{self.users[0]}", text)
        self.place.own(self.home)
        return True

    def environment(self):
        return {**super().environment(), "SSL_CERT_FILE": self.place.ca}

    def command(self):
        return [self.binary, "-f", f"{self.home}/.fdm.conf", "fetch"]


class Getmail(Program):
    """One account after the other. Now and then it misses the end of a child that
    delivers, and gives up after the timeout: with a short one at least soon."""

    name = "getmail"
    packages = {"getmail": "getmail6"}

    def configure(self):
        for user in self.users:
            self.write(f".getmail/{user}", f"""[retriever]
type = SimplePOP3SSLRetriever
server = {HOST}
port = {self.port}
username = {user}
password = {PASSWORD}
timeout = 15
ca_certs = {self.place.ca}
[destination]
type = Maildir
path = {self.mail}/{user}/
[options]
delete = {"false" if self.keep else "true"}
read_all = false
verbose = 0
delivered_to = false
received = false
""")

    def learn(self, uids):
        name = f".getmail/oldmail-{HOST}-{self.port}-{self.users[0]}"
        now = int(time.time())
        self.write(name, "".join(f"{uid}\0{now}\n" for uid in uids))
        self.place.own(self.home)
        return True

    def command(self):
        words = [self.binary, "--getmaildir", f"{self.home}/.getmail"]
        for user in self.users:
            words += ["--rcfile", user]
        return words


class Fetchmail(Program):
    """One account after the other; maildrop, which writes Maildirs, for each
    message. Without SMTP, which would need a mail server to hand over to."""

    name = "fetchmail"
    packages = {"fetchmail": "fetchmail", "maildrop": "maildrop"}
    success = (0, 1)  # 1: there was no mail

    def configure(self):
        maildrop = find_program("maildrop")
        text = (f'set idfile "{self.home}/ids"\nset pidfile "{self.home}/pid"\n'
                "set nobouncemail\n")
        for user in self.users:
            rule = self.write(f"rules/{user}", f'to "{self.mail}/{user}/"\n')
            text += (f"poll {user} via localhost protocol pop3 service {self.port} uidl\n"
                     f'  user "{user}" password "{PASSWORD}" ssl sslcertck\n'
                     f'  sslcertfile "{self.place.ca}" mda "{maildrop} {rule}"\n'
                     "  fetchsizelimit 0\n"
                     f'  {"keep" if self.keep else "fetchall"}\n')
        self.write(".fetchmailrc", text)

    def learn(self, uids):
        self.write("ids", "".join(f"{self.users[0]}@localhost {uid}\n" for uid in uids))
        self.place.own(self.home)
        return True

    def command(self):
        return [self.binary, "--silent", "--nosyslog", "-f", f"{self.home}/.fetchmailrc"]


class Drain(Program):
    """The limit of the wire: everything asked for at once, and thrown away."""

    name = "drain"
    is_limit = True

    def find(self):
        return self.place.built("tests/bench/drain")

    def configure(self):
        pass

    def command(self):
        return [self.binary, "--to", f"{HOST}:{self.port}", "--user", self.users[0],
                "--password", PASSWORD, "--ca", self.place.ca]


class Store(Program):
    """The limit of the disk: the same files written durably, without a network."""

    name = "store"
    is_limit = True

    def find(self):
        return self.place.built("tests/bench/store")

    def configure(self):
        pass

    def command(self):
        return [self.binary, self.source, f"{self.mail}/{self.users[0]}"]


PEERS = (Mpop, Fdm, Getmail, Fetchmail)
