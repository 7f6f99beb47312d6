"""The prediction of a variant: of the client's connections, and of those of a proxy to the server.

Pure. To the server, the proxy is a client: it has a range of its own, and all clients behind it share that.
"""

from collections.abc import Mapping
from dataclasses import replace

from loadgen.model.predict import predict
from loadgen.model.situation import TIME_WAIT_S, TW_BUCKETS, Costs, Situation, hold_s, number, situation
from loadgen.records.prediction import Prediction
from loadgen.scenario.choices import ConnectionHeader, Http, ProxyCloser, ProxyKind, ProxyReuse, ServerKind
from loadgen.scenario.document import Variant
from loadgen.scenario.proxy import Proxy
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Ending

PROXYING = Costs(connection_s=53e-6, exchange_s=15e-6)
"""What a connection to the server costs a proxy's core, with the client's connection that it is for, and each
exchange after the first. It is the CPU time of the proxy's process per response
(`request.proxy.downstream.user_ns` and `.system_ns`) in a closed loop of 32 connections, on two cores with
Linux 6.18: 49 to 55 us (nginx 1.22) and 53 us (HAProxy 2.6) if each request has a connection on both sides,
13 to 16 us if both keep theirs. docs/scenarios.md, A proxy, has the command. It decides only if ports run out
faster than that."""


def predict_legs(variant: Variant) -> Prediction:
    """The prediction for a variant; with a proxy, that of its connections to the server is in `upstream`."""
    found = predict(situation(variant))
    if variant.proxy is None:
        return found
    behind = _as_far_as_clients_go(variant, found, _predict_upstream(variant, variant.proxy))
    gone_s = behind.time_to_exhaustion_s
    if (
        gone_s is not None
        and behind.time_wait_client
        and found.rate_per_s is not None
        and variant.load.duration / 1e9 <= TIME_WAIT_S
    ):
        # From then on the proxy answers with an error, and the client resets the connection.
        # In stages each had a rate of its own: all that were answered hold a port of the proxy.
        answered = behind.time_wait_client if behind.stages else round(found.rate_per_s * gone_s)
        found = replace(
            found,
            time_wait_client=_at_most(found.time_wait_client, answered),
            time_wait_server=_at_most(found.time_wait_server, answered),
        )
    return replace(found, upstream=behind)


def _as_far_as_clients_go(variant: Variant, found: Prediction, behind: Prediction) -> Prediction:
    """The proxy's connections, if its clients run out of ports: then it gets no further request."""
    gone_s = found.time_to_exhaustion_s
    if (
        gone_s is None
        or found.rate_per_s is None
        or found.stages
        or variant.load.duration / 1e9 > TIME_WAIT_S
    ):
        return behind
    asked = round(found.rate_per_s * gone_s) * variant.connection.requests
    later = behind.time_to_exhaustion_s is not None and behind.time_to_exhaustion_s > gone_s
    return replace(
        behind,
        time_to_exhaustion_s=None if later else behind.time_to_exhaustion_s,
        time_wait_client=_at_most(behind.time_wait_client, asked),
        time_wait_server=_at_most(behind.time_wait_server, asked),
    )


def keeps(variant: Variant) -> bool:
    """Whether the proxy's connections to the server outlast a request, whoever it is of."""
    proxy = variant.proxy
    if proxy is None or not proxy.keep:
        return False
    if proxy.kind is ProxyKind.NGINX:
        # nginx keeps a connection only if its own request allowed it (RFC 9112, section 9.3).
        return proxy.http is Http.V1_1 and proxy.connection_header is ConnectionHeader.CLEARED
    return proxy.reuse is ProxyReuse.ALWAYS


def upstream_situation(variant: Variant, proxy: Proxy) -> Situation:
    """What the proxy's connections to the server start from, if they are not kept."""
    lab, load, loop = variant.lab, variant.load, variant.load.loop
    # With its default, HAProxy keeps a connection for as long as that of the client which it is of.
    with_client = proxy.kind is ProxyKind.HAPROXY and bool(proxy.keep)
    requests = variant.connection.requests if with_client else 1
    ending = _ending(proxy, kept_with_client=with_client)
    rate = loop.rate / requests if isinstance(loop, OpenLoop) else None
    sysctls: Mapping[str, str] = lab.sysctl.proxy
    paths = variant.upstream_paths
    return Situation(
        ports=lab.proxy.ports.count * paths,
        paths=paths,
        hold_s=hold_s(sysctls, lab.sysctl.server),
        ending=ending,
        requests=requests,
        duration_s=load.duration / 1e9,
        costs=None if rate is None else PROXYING,
        rate=rate,
        connections=loop.connections,
        pause_s=requests * variant.server.delay / 1e9,
        tw_buckets=number(lab.sysctl.server if ending is Ending.SERVER_FIN else sysctls, TW_BUCKETS),
        arriving=loop.rate if isinstance(loop, OpenLoop) else None,
        stages=tuple((stage.level, stage.lasts / 1e9) for stage in load.stages),
    )


def _ending(proxy: Proxy, *, kept_with_client: bool) -> Ending:
    """Who ends the proxy's connections to the server first, and how."""
    if proxy.kind is ProxyKind.HAPROXY:
        # HAProxy resets a connection to a server that has not closed it (SO_LINGER {1, 0}): no TIME-WAIT.
        closes = proxy.closer is ProxyCloser.SERVER and not kept_with_client
        return Ending.SERVER_FIN if closes else Ending.CLIENT_RST
    return Ending.SERVER_FIN if proxy.closer is ProxyCloser.SERVER else Ending.CLIENT_FIN


def _predict_upstream(variant: Variant, proxy: Proxy) -> Prediction:
    """That of the proxy's connections to the server."""
    state = upstream_situation(variant, proxy)
    if proxy.kind is ProxyKind.COMMAND or variant.server.kind is ServerKind.COMMAND:
        why = "how the proxy's connections to the server end is not known of a command"
        return _open(state, (why,), waits=True)
    if keeps(variant):
        # Idle connections that the server closes first are its TIME-WAITs: how many are idle is not foreseen.
        return _open(state, (), waits=variant.server.idle_timeout < proxy.idle_timeout)
    return predict(state)


def _open(state: Situation, assumptions: tuple[str, ...], *, waits: bool) -> Prediction:
    """Connections that are kept, or of which nothing is known; `waits`: the server may have TIME-WAITs."""
    return Prediction(
        ports=state.ports,
        rate_per_s=None,
        rate_assumed=False,
        past_knee_per_s=None,
        ceiling_per_s=None,
        knee_ports=None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=None,
        time_wait_server=None if waits else 0,
        assumptions=assumptions,
    )


def _at_most(predicted: int | None, most: int) -> int | None:
    return None if predicted is None else min(predicted, most)
