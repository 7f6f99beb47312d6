"""The capture of a variant's packets: the process that keeps them, and what it says at its end."""

from pathlib import Path

from loadgen.engine import plans
from loadgen.engine.child import Child, ChildDiedError, Children
from loadgen.lab.lab import Lab
from loadgen.observe.messages import CaptureEnded, CaptureMessage
from loadgen.records.events import Captured
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.wire.messages import Ready


async def start_capture(
    children: Children, variant: Variant, lab: Lab, directory: Path
) -> Child[CaptureMessage] | None:
    """Start the capture, if packets are to be kept."""
    plan = plans.capture_plan(variant, lab, directory)
    if plan is None:
        return None
    return await children.start(
        Side.CLIENT, "capture", "loadgen.observe.capture", plan, CaptureMessage, lab.descriptors
    )


async def captured(capture: Child[CaptureMessage], origin_ns: int) -> Captured | ChildDiedError:
    """What was captured, once the connections are over; or the end of the process instead."""
    async for message in capture.received(None):
        match message:
            case CaptureEnded():
                return Captured(
                    message.end_ns - origin_ns,
                    message.connections,
                    message.packets,
                    message.dropped,
                    message.full,
                    message.error,
                )
            case Ready():
                raise RuntimeError(f"the capture sent {message}")
    return await capture.died()
