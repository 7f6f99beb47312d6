"""What the sampler costs, over the TIME-WAITs that it meets."""

from statistics import mean
from time import monotonic_ns

from bench.child import start_module
from bench.load import DEFAULT_PORTS, PORT, SECOND_NS
from bench.measure import FAILURES, Kit
from bench.population import Population, fill
from bench.probe import run_time_ns
from bench.reading import Failed
from bench.results import Results, SamplerCost, Say
from bench.scale import Scale
from loadgen.lab.lab import Lab, open_lab
from loadgen.observe import sampler
from loadgen.observe.messages import SamplerMessage, Watch
from loadgen.records.events import SampleCheck
from loadgen.records.types import Sample
from loadgen.tcp import Side
from loadgen.wire.messages import Ready

EVERY_NS = SECOND_NS // 10


async def sampling(kit: Kit, scale: Scale, results: Results, say: Say) -> None:
    """The sampler's cost, over the TIME-WAITs on the client's side."""
    for count in scale.sampled:
        held = Population(count)
        with open_lab(held.spec()) as lab:
            try:
                await fill(lab, held, kit.cores)
                found = await _sample(kit, lab, count, scale.sampling_s)
            except FAILURES as error:
                results.failed.append(Failed("sampler", "sampler", str(held), str(error)))
                say(f"sampler: {held}: {error}")
            else:
                results.sampler.append(found)
                say(f"sampler: {held}: {found.share:.2%} of a core, {found.cost_ns / 1e6:.2f} ms a sample")


async def _sample(kit: Kit, lab: Lab, time_wait: int, seconds: int) -> SamplerCost:
    plan = sampler.Plan(
        PORT, DEFAULT_PORTS, False, EVERY_NS, lab.user, {side: lab.networks[side] for side in Side}
    )
    descriptors = lab.descriptors
    core = kit.cores.clients(1)[0]
    child = await start_module(
        lab, Side.CLIENT, "loadgen.observe.sampler", plan, SamplerMessage, core, descriptors
    )
    costs_ns: list[int] = []
    try:
        await child.expect(Ready)
        child.send(Watch(monotonic_ns(), {}))
        await child.expect(Sample)
        await child.expect(SampleCheck)
        begun_ns, before_ns = monotonic_ns(), run_time_ns(child.pid)
        while len(costs_ns) < seconds * SECOND_NS // EVERY_NS:
            costs_ns.append((await child.expect(Sample)).cost_ns)
        share = (run_time_ns(child.pid) - before_ns) / (monotonic_ns() - begun_ns)
    finally:
        child.kill()
        await child.end()
    return SamplerCost(time_wait, share, round(mean(costs_ns)), len(costs_ns))
