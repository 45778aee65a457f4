"""Which forecasters of one's own series keep behaving when they run on their own output?"""

from aelle_core.study.model import Study
from aelle_core.study.presets.base import Preset, registry
from aelle_core.study.presets.lorenz import Lorenz


@registry.register("own-series")
class OwnSeries(Preset):
    """The preset `lorenz` on the user's own series, judged by what comes at their end, which no network was trained
    on."""

    purpose = "Forecasters of your own series (--data FILE), judged by the climate of their free runs: some minutes"

    @staticmethod
    def study() -> Study:
        return Lorenz.study().replace(name="own-series", task_options={"data": ""})
