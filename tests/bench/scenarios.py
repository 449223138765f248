"""What is measured: the mail, the line, what the programs know before."""

import dataclasses
import poplib
import ssl
import time

import measure
from place import PASSWORD, HOST, warn
from programs import Drain, Mailhaul, Store

RUN_LIMIT_SEC = 300
SLOW_SEC = 20  # a program that takes longer, and
SLOW_FACTOR = 3  # this much longer than the fastest, is measured once
SAMPLE_COUNT = 256  # messages, where each system call is looked at


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    count: int  # messages per account
    mean_bytes: int
    sigma: float = 1.0  # of the sizes' logarithm; 0: all have one size
    accounts: int = 1
    rtt_msec: int = 0  # 0: no delay line at all
    is_warm: bool = False  # every program has been there before, in vain
    is_known: bool = False  # and knows all that is there, which stays
    looks: tuple = ()  # what else is measured, in runs of their own
    look_count: int = 0  # messages for those; 0: all
    limits: tuple = (Drain,)
    is_optional: bool = False

    def users(self):
        return [f"u{i}" for i in range(self.accounts)]


ALL = (
    Scenario("bulk", "2,000 messages of 25 KB on loopback",
             2000, 25000, looks=(measure.memory, measure.calls),
             look_count=SAMPLE_COUNT, limits=(Drain, Store)),
    Scenario("far", "300 messages of 25 KB at a round trip of 50 ms",
             300, 25000, rtt_msec=50, is_warm=True),
    Scenario("accounts", "100 accounts of 5 messages each at 50 ms",
             5, 25000, accounts=100, rtt_msec=50, is_warm=True, limits=()),
    Scenario("empty", "an empty mailbox at 50 ms",
             0, 25000, rtt_msec=50, is_warm=True),
    Scenario("five", "5 new messages at 50 ms",
             5, 25000, rtt_msec=50, is_warm=True),
    Scenario("known", "100,000 messages, all known, on loopback",
             100000, 700, sigma=0, is_known=True, looks=(measure.memory,), limits=()),
    Scenario("new", "100,000 small new messages on loopback",
             100000, 700, sigma=0, looks=(measure.memory,), is_optional=True),
    Scenario("giant", "one message of 1 GB on loopback",
             1, 1000000000, sigma=0, looks=(measure.memory,), is_optional=True),
)


class Bench:
    """Measures programs in rounds: each once, then each again."""

    def __init__(self, place, peers, rounds):
        self.place = place
        self.peers = peers
        self.rounds = rounds

    # --- one run

    def _port(self, scenario):
        return self.place.line_port if scenario.rtt_msec else self.place.port

    def _visit(self, scenario, program, rtt_msec, look=measure.timed):
        line = self.place.line(rtt_msec) if scenario.rtt_msec else None
        figures = {}
        try:
            figures = look(self.place, program, RUN_LIMIT_SEC)
        finally:
            if line is not None:
                trips, connections = line.close()
                figures["trips"] = trips / max(connections, 1)
        return figures

    def _fill(self, scenario):
        mail_set = self.place.mail_set(scenario.count, scenario.mean_bytes,
                                       scenario.sigma)
        for user in scenario.users():
            self.place.fill_box(user, mail_set)
        return mail_set

    def prepare(self, scenario, program):
        """An untouched mailbox; a program that has been there, or never has."""
        program.reset(scenario.users(), self._port(scenario), keep=False)
        for user in scenario.users():
            self.place.clear_box(user)
        if scenario.is_warm and not program.is_limit:
            self._visit(scenario, program, rtt_msec=0)
        program.source = self._fill(scenario).directory

    def _check(self, scenario, program):
        """A program that did not do the work was not measured."""
        if program.is_limit:
            return  # it has looked itself
        expected = scenario.count * scenario.accounts
        left = sum(self.place.on_server(user) for user in scenario.users())
        if program.delivered() != expected or left:
            raise measure.Failed(f"{program.name}: {program.delivered()} of {expected} "
                                 f"messages delivered, {left} left on the server")

    def _measure(self, scenario, program, look):
        if scenario.is_known:
            figures = self._visit(scenario, program, 0, look)
            if program.delivered():
                raise measure.Failed(f"{program.name} fetched what it knew")
            return figures
        self.prepare(scenario, program)
        figures = self._visit(scenario, program, scenario.rtt_msec, look)
        self._check(scenario, program)
        return figures

    # --- all rounds

    def run(self, scenario, names):
        """Lists of figures, by program and by what was measured, of those named."""
        base = self.place.memory if scenario.is_known else self.place.disk
        programs = [program(self.place, base)
                    for program in (Mailhaul, *scenario.limits, *self.peers)
                    if program.name in names]
        figures = {program.name: {} for program in programs}
        if scenario.is_known:
            self._learn(scenario, programs, figures)
        for i in range(self.rounds):
            for program in programs:
                if not self._is_done(figures, program.name):
                    self._note(scenario, program, figures, i)
        few = dataclasses.replace(scenario, count=scenario.look_count or scenario.count)
        for look in scenario.looks:
            for program in programs:
                if "error" not in figures[program.name]:
                    self._note(few, program, figures, 0, look)
        for program in programs:
            program.remove()
        return figures

    @staticmethod
    def _is_done(figures, name):
        """So slow that once is enough; or it failed twice."""
        if figures[name].get("failures", 0) > 1:
            return True
        walls = {key: min(mine["wall"]) for key, mine in figures.items()
                 if "wall" in mine and key not in (Drain.name, Store.name)}
        return walls.get(name, 0) > max(SLOW_SEC, SLOW_FACTOR * min(walls.values(), default=0))

    def _note(self, scenario, program, figures, i, look=measure.timed):
        mine = figures[program.name]
        try:
            got = self._measure(scenario, program, look)
        except measure.Failed as failure:
            warn(f"{scenario.name}: {failure}")
            mine["error"] = str(failure)
            mine["failures"] = mine.get("failures", 0) + 1
            return
        mine.pop("error", None)
        for key, value in got.items():
            mine.setdefault(key, []).append(value)
        if look is measure.timed:
            warn(f"{scenario.name}, round {i + 1}: {program.name}: "
                 f"{got['wall']:.3f} s, CPU {got['cpu']:.3f} s"
                 + (f", round trips {got['trips']:.1f}" if "trips" in got else ""))

    # --- a mailbox that is known

    def _learn(self, scenario, programs, figures):
        """A first visit; or, where that takes many minutes, what it would leave."""
        for user in scenario.users():
            self.place.clear_box(user)
        self._fill(scenario)
        uids = self.uids(scenario.users()[0])
        for program in programs:
            program.reset(scenario.users(), self._port(scenario), keep=True)
            began = time.monotonic()
            try:
                if not program.learn(uids):
                    self._visit(scenario, program, 0)
                    program.forget_mail()
                self._visit(scenario, program, 0)  # the server's caches, too
            except measure.Failed as failure:
                warn(f"{scenario.name}: {failure}")
                figures[program.name]["error"] = str(failure)
            warn(f"{scenario.name}: {program.name} learnt it in "
                 f"{time.monotonic() - began:.1f} s")

    def uids(self, user):
        context = ssl.create_default_context(cafile=self.place.ca)
        server = poplib.POP3_SSL(HOST, self.place.port, context=context, timeout=300)
        server.user(user)
        server.pass_(PASSWORD)
        lines = server.uidl()[1]
        server.quit()
        return [line.split()[1].decode() for line in lines]
