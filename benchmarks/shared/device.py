"""The device that a benchmark runs on."""

import platform

import torch


def synchronise(device: torch.device) -> None:
    """Wait until all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> str:
    """Its name and memory."""
    if device.type != "cuda":
        return f"{platform.processor() or platform.machine()} (CPU, a trial)"
    facts = torch.cuda.get_device_properties(device)
    return f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
