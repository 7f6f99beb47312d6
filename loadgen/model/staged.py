"""The prediction of a load in stages: ports and TIME-WAITs over time, from rates that change.

Pure. The connections are taken for a flow: what is opened keeps its port for as long as in any other
prediction, and is given back then, whatever the stage is by then.
"""

from dataclasses import replace

from loadgen.model.pace import Pace
from loadgen.model.situation import TIME_WAIT_S, Costs, Situation
from loadgen.records.prediction import Prediction, StagePrediction
from loadgen.tcp import Ending, How, Side

STEP_S, MOST_STEPS = 0.01, 20_000
"""The flow is followed in steps so long, or longer if there were more of them than this."""
NO_LESS = 0.999
"""From this share of the wanted connections on, none of them lacks a port."""


def steady(situation: Situation) -> Situation:
    """The same without stages: as if the highest level lasted for the whole load."""
    return replace(situation, stages=())


def _alone(situation: Situation, level: float) -> Situation:
    """One stage by itself."""
    if situation.rate is None:
        return replace(situation, stages=(), connections=max(round(level), 1))
    return replace(situation, stages=(), rate=level / situation.requests, arriving=level)


def over_stages(situation: Situation, costs: Costs, whole: Prediction, visible_fall: float) -> Prediction:
    """The prediction of a load in stages; `whole` is that of the highest level for the whole time."""
    flow = _Flow(situation, costs)
    flow.run()
    pace, at_end = flow.knee_pace, whole.time_wait_at_end or 0
    most = max(flow.most_waiting, flow.waiting + at_end)
    client = server = 0
    if situation.ending.how is How.FIN:
        limit = min(situation.ports, situation.tw_buckets)
        if situation.ending.side is Side.CLIENT:
            client = min(round(most), limit)
        else:
            # Tuples of the client's ports, of one parity mostly (K13).
            server = min(round(most), whole.time_wait_server or limit)
    past = None if pace is None else min(pace.rate, pace.slow)
    return replace(
        whole,
        past_knee_per_s=past,
        time_to_knee_s=flow.knee_s,
        time_to_exhaustion_s=flow.gone_s,
        time_wait_client=client,
        time_wait_server=server,
        rate_is_mean=False,
        rate_falls=pace is not None and past is not None and past * visible_fall <= pace.rate,
        past_from_start=False,
        search_s=None if pace is None else pace.scan_s,
        time_wait_within=None,
        stages=tuple(flow.stages),
    )


class _Flow:
    """Follows the ports and TIME-WAITs of a load in stages, step by step.

    Times are seconds after the load's begin, None for what does not happen: `knee_s`, when connect() becomes
    slow, in a stage of the pace `knee_pace`, and `gone_s`, when no port is left. `waiting` TIME-WAITs are
    there now, on the side that closes first, and there were `most_waiting` at most.
    """

    def __init__(self, situation: Situation, costs: Costs) -> None:
        self._situation = situation
        self._paces = [
            Pace.of(_alone(situation, level), costs) if level else None for level, _ in situation.stages
        ]
        fastest = max((one for one in self._paces if one), key=lambda one: one.rate)
        keeps = situation.ending is Ending.CLIENT_FIN
        self._held_s = fastest.life_s + (situation.hold_s if keeps else 0.0)
        # Beyond the buckets a TIME-WAIT is destroyed at once, and its port is free (K14).
        self._bounded = not keeps or situation.ports <= fastest.in_flight + situation.tw_buckets
        self._step_s = max(STEP_S, situation.duration_s / MOST_STEPS)
        self._opened = [0.0]
        """How many connections had been opened at each step."""
        self.stages: list[StagePrediction] = []
        self.knee_s: float | None = None
        self.knee_pace: Pace | None = None
        self.gone_s: float | None = None
        self.waiting = self.most_waiting = 0.0

    def run(self) -> None:
        """Follow it to the end of the load."""
        for number, (_, length_s) in enumerate(self._situation.stages, start=1):
            self._follow(number, max(round(length_s / self._step_s), 1))

    def _follow(self, number: int, steps: int) -> None:
        pace, step_s, situation = self._paces[number - 1], self._step_s, self._situation
        begin_s, begun = (len(self._opened) - 1) * step_s, self._opened[-1]
        gone_s = back_s = None
        for _ in range(steps):
            now_s = (len(self._opened) - 1) * step_s
            held = self._opened[-1] - self._at(now_s - self._held_s)
            wanted = self._wanted(pace, held, now_s)
            made = min(wanted, max(situation.ports - held, 0.0)) if self._bounded else wanted
            if made < NO_LESS * wanted:
                gone_s, back_s = now_s if gone_s is None else gone_s, None
            elif gone_s is not None and back_s is None:
                back_s = now_s
            self._opened.append(self._opened[-1] + made)
            self.waiting = self._opened[-1] - self._at(now_s + step_s - TIME_WAIT_S)
            self.most_waiting = max(self.most_waiting, self.waiting)
        self.gone_s = gone_s if self.gone_s is None else self.gone_s
        self.stages.append(
            StagePrediction(
                number=number,
                begin_s=begin_s,
                rate_per_s=(self._opened[-1] - begun) / (steps * step_s),
                time_wait=self._time_waits(),
                ports_gone_s=gone_s,
                ports_back_s=back_s,
            )
        )

    def _wanted(self, pace: Pace | None, held: float, now_s: float) -> float:
        """Connections that would be opened in a step while so many ports are held, if each found one."""
        if pace is None:
            return 0.0
        past = self._bounded and self._situation.searches and held >= self._situation.half
        if past and self.knee_s is None:
            self.knee_s, self.knee_pace = now_s, pace
        return min(pace.rate, pace.slow if past else pace.rate) * self._step_s

    def _time_waits(self) -> int:
        if self._situation.ending.how is not How.FIN:
            return 0
        return round(min(self.waiting, self._situation.ports, self._situation.tw_buckets))

    def _at(self, time_s: float) -> float:
        """How many had been opened at a time, by straight lines between the steps."""
        place = min(max(time_s / self._step_s, 0.0), len(self._opened) - 1)
        before = int(place)
        after = min(before + 1, len(self._opened) - 1)
        return self._opened[before] + (place - before) * (self._opened[after] - self._opened[before])
