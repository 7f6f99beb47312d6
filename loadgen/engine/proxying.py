"""The proxy of a variant: one program between client and server, from its start to its end."""

import asyncio
from pathlib import Path

from loadgen.engine.child import Child, ChildDiedError, Children
from loadgen.engine.proxy_plans import proxy_plan
from loadgen.engine.server_pool import ServerMessage, ServerPool, ServerWorker
from loadgen.lab.lab import Lab
from loadgen.lab.proxied import PROXY
from loadgen.programs import proxies
from loadgen.programs.plan import Plan
from loadgen.records.events import ProxyStarted
from loadgen.scenario.document import Variant
from loadgen.wire.messages import Unobserved


class Proxying:
    """A proxy that was started and has no plan yet."""

    def __init__(self, kind: str, child: Child[ServerMessage], plan: Plan) -> None:
        self._kind = kind
        self._plan = plan
        self._deaths: list[ChildDiedError] = []
        self._pool = ServerPool([ServerWorker(child, plan)], _accept_failed, _gap, self._deaths.append)
        self._version = ""
        self.pid = child.pid

    async def ready(self) -> None:
        """Give it its plan, and wait until it listens. Raises ChildDiedError if it ends instead."""
        self._version = await asyncio.to_thread(proxies.version, self._plan.argv[0])
        await self._pool.ready()

    def started(self, t_ns: int) -> ProxyStarted:
        """What the records have of it: defaults change from one version to the next."""
        return ProxyStarted(t_ns, self._kind, self._version, self.pid)

    async def run(self) -> ChildDiedError | None:
        """Wait for its end; how that came, if it was not asked to end."""
        await self._pool.run()
        return self._deaths[0] if self._deaths else None

    def stop(self) -> None:
        """Ask it to end."""
        self._pool.stop()


async def start_proxy(children: Children, variant: Variant, lab: Lab, directory: Path) -> Proxying | None:
    """Start the variant's proxy, if it has one; it gets its plan later, when the server listens."""
    plan = proxy_plan(variant, lab, directory)
    if plan is None or variant.proxy is None:
        return None
    child: Child[ServerMessage] = await children.start(PROXY, PROXY, "loadgen.programs", None, ServerMessage)
    return Proxying(variant.proxy.kind, child, plan)


def _accept_failed(_: Child[ServerMessage], error: str) -> None:
    raise RuntimeError(f"the keeper of the proxy reported {error}")


def _gap(_: Child[ServerMessage], span: Unobserved) -> None:
    raise RuntimeError(f"the keeper of the proxy reported {span}")
