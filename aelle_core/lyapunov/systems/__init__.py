"""What has a Lyapunov spectrum: layers of cells, step functions, given Jacobians."""

from aelle_core.lyapunov.systems.base import System
from aelle_core.lyapunov.systems.closed_loop import ClosedLoopSystem
from aelle_core.lyapunov.systems.stack import StackSystem
from aelle_core.lyapunov.systems.step import Step, StepSystem
from aelle_core.lyapunov.systems.trajectory import TrajectorySystem

__all__ = ["ClosedLoopSystem", "StackSystem", "Step", "StepSystem", "System", "TrajectorySystem"]
