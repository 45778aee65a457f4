"""All that may happen to a study in a round, by name."""

from functools import partial

from fault_injection.damage import alter_checkpoint, alter_fragment, fill_disk, forbid_writing
from fault_injection.kills import kill_flow, kill_node, kill_part, kill_server, kill_worker, stop_worker
from fault_injection.local_parts import PARTS
from fault_injection.scene import Fault

_ANYWHERE: dict[str, Fault] = {
    "worker": kill_worker,
    "stopped": stop_worker,
    "flow": kill_flow,
    "full disk": fill_disk,
    "read-only": forbid_writing,
    "fragment": alter_fragment,
    "checkpoint": alter_checkpoint,
}

FAULTS: dict[str, Fault] = {**_ANYWHERE, "node": kill_node, "server": kill_server}
"""What may happen to a study on a cluster that was there before."""

LOCAL_FAULTS: dict[str, Fault] = {**_ANYWHERE, **{part: partial(kill_part, part) for part in PARTS}}
"""What may happen to a study that has started its own cluster."""
