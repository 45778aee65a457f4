"""Croissant metadata of a dataset that ships: JSON-LD that dataset search engines and loaders read.

Akhtar et al., Croissant: a metadata format for ML-ready datasets, 2024; version 1.0 of the format.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from aelle_core.store.schema import MEASURES

COLUMNS: Mapping[str, str] = {
    "study": "identity of the study that trained the network: its name and a hash of its settings",
    "task": "what the network learned",
    "cell": "architecture",
    "units": "size of the hidden state",
    "network": "the network's name, unique in its study",
    "pack": "the pack of networks that it was trained in",
    "epoch": "epochs of training so far; 0 is before training",
    "seed": "seed of the network's initial weights",
    "status": "ok, or diverged where weights, losses or the spectrum left the finite numbers",
    "hyperparameters": "what was drawn or set for the network, by name",
    "train_loss": "training loss of the epoch, in the task's unit",
    "validation_loss": "loss on the validation data, in the task's unit",
    "validation_accuracy": "share of right answers on the validation data, 0 to 1; null where the task has none",
    "test_loss": "loss on the test data, in the last epoch only",
    "test_accuracy": "share of right answers on the test data, 0 to 1, in the last epoch only",
    "spectrum_hidden": "Lyapunov exponents of d h_t / d h_(t-1), nats per step, descending; -inf for dead directions",
    "spectrum_full": "Lyapunov exponents of the whole state, nats per step, descending; -inf for dead directions",
    "spectrum_closed_loop": "Lyapunov exponents of the network that runs on its own output, nats per step, descending",
    "dead_directions": "how many exponents are -inf",
    "sum_rule_residual": "how far the exponents' sum is from the mean logarithm of the volume, nats: 0 up to rounding",
    **MEASURES,
}
"""What each column of a spectra dataset says."""

_TYPES = {pa.string(): "sc:Text", pa.int32(): "sc:Integer", pa.int64(): "sc:Integer", pa.float64(): "sc:Float"}

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(name: str, entry: Mapping[str, Any], schema: pa.Schema, *, description: str, cite: str) -> str:
    """Return the metadata of the dataset `name` as JSON text.

    Args:
        entry: Its entry in the manifest.
        schema: The columns of its Parquet file. A map, the hyperparameters, has no type in the format: its field is
            left out, and the description names it.
        description, cite: What it is, and how it is cited.
    """
    spectra = entry["spectra"]
    fields = [_field(column) for column in schema if not pa.types.is_map(column.type)]
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"aelle-{name.replace('_', '-')}",
        "description": f"{description} The column hyperparameters is a map of numbers by name.",
        "license": "https://spdx.org/licenses/MIT.html",
        "url": "https://arxiv.org/abs/2204.04876",
        "citeAs": cite,
        "creator": {"@type": "sc:Organization", "name": "The AeLLE authors"},
        "datePublished": entry["created"][:10],
        "version": "1.0.0",
        "keywords": ["Lyapunov exponents", "recurrent neural networks", "training losses"],
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "spectra",
                "name": "spectra",
                "description": f"{spectra['rows']} rows: a row for each network and epoch.",
                "contentUrl": spectra["file"],
                "encodingFormat": "application/x-parquet",
                "sha256": spectra["sha256"],
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "networks",
                "name": "networks",
                "description": "One network after one epoch of training.",
                "field": fields,
            }
        ],
    }
    return json.dumps(metadata, indent=1) + "\n"


def _field(column: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(column.type)
    entry: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"networks/{column.name}",
        "name": column.name,
        "description": COLUMNS[column.name],
        "dataType": "sc:Float" if is_list else _TYPES[column.type],
        "source": {"fileObject": {"@id": "spectra"}, "extract": {"column": column.name}},
    }
    return {**entry, "repeated": True} if is_list else entry
