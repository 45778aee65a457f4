"""The command `aelle predict`."""

from typing import Any

import typer

from aelle_core.cli.options import Inputs, NetworkName, Nonlinearity, Run, Weights


def predict(
    run: Run,
    weights: Weights,
    inputs: Inputs = None,
    network: NetworkName = None,
    nonlinearity: Nonlinearity = None,
) -> None:
    """Predict the final loss of a network from its spectrum, by the AeLLE of an analysed study.

    The network should have been trained on the study's task; one of another cell, with other inputs or for another
    number of steps than the study's is refused. The spectrum is of the kind the study used.

    Example: `aelle predict runs/digits lstm.safetensors --inputs sequences.npy`
    """
    from aelle_core.aelle.estimator import AeLLE
    from aelle_core.cli.predicted import check_like_the_study
    from aelle_core.files.places import place
    from aelle_core.foundation.errors import UserError
    from aelle_core.loading.networks import load
    from aelle_core.lyapunov import lyapunov_spectrum
    from aelle_core.study import RunDirectory

    directory = RunDirectory(run)
    study = directory.study()
    model = directory.analysis / "aelle.safetensors"
    if not model.exists():
        raise UserError(f"no AeLLE in {run!r}: expected one made by `aelle analyse {run}`")
    aelle = AeLLE.load(model)
    kind: Any = study.spectra[0]
    loaded = load(place(weights), inputs, network=network, nonlinearity=nonlinearity)
    result = lyapunov_spectrum(
        loaded.system,
        loaded.inputs,
        initial_state=loaded.initial_state,
        jacobian=kind,
        k=study.exponents or None,
        warmup=study.warmup,
        check=False,
    )
    if result.status != "ok":
        raise UserError(f"{weights!r}: the network's weights or states are not finite; expected finite numbers")
    check_like_the_study(aelle, study, loaded, result.steps, kind)
    features = result.interpolate(aelle.n_features_in_)[None]
    side = "better" if aelle.predict_high_accuracy(features)[0] else "worse"
    interval = ""
    if len(aelle.errors_):
        _, (low,), (high,) = aelle.predict(features, return_interval=True)
        interval = f" (90 %: {low:.3f} to {high:.3f})"
    typer.echo(f"expected final {directory.loss_name()}: {aelle.predict(features)[0]:.3f}{interval}")
    if (distance := float(aelle.distance(features)[0])) > 1:
        typer.echo(f"its spectrum is unlike all that the AeLLE has seen (distance {distance:.1f}): this means little")
    typer.echo(f"AeLLE first component: {aelle.transform(features)[0, 0]:.3f}, on the {side} half of {study.name}")
