"""From LLVM's language to machine code."""

import hashlib
import os
import tempfile
from pathlib import Path

import llvmlite
from llvmlite import binding, ir
from platformdirs import user_cache_path


def compile_module(module: ir.Module) -> binding.ExecutionEngine:
    """Return the module's machine code for this CPU; it lives as long as the engine."""
    machine, parsed = _parsed(module)
    _optimise(machine, parsed)
    engine = binding.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    return engine


def compile_once(module: ir.Module, room: str) -> binding.ExecutionEngine:
    """Return the module's machine code for this CPU, from the user's cache where an earlier process has left it.

    `room` is the directory's name within the cache. A directory that cannot be written costs another compilation in the
    next process, nothing else; a file that is damaged is written again.
    """
    machine, parsed = _parsed(module)
    file = cache_directory(room) / f"{_fingerprint(module)}.o"
    kept = _read(file)
    if kept is None:
        _optimise(machine, parsed)
    engine = binding.create_mcjit_compiler(parsed, machine)
    engine.set_object_cache(
        notify_func=lambda _, code: _write(file, code) if kept is None else None, getbuffer_func=lambda _: kept
    )
    engine.finalize_object()
    return engine


def cache_directory(room: str) -> Path:
    """Return where compiled code of that kind is kept: in $AELLE_CACHE_DIR, or else in the user's cache."""
    given = os.environ.get("AELLE_CACHE_DIR")
    return (Path(given) if given else user_cache_path("aelle")) / room


def _parsed(module: ir.Module) -> tuple[binding.TargetMachine, binding.ModuleRef]:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    module.triple = machine.triple
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    return machine, parsed


def _optimise(machine: binding.TargetMachine, parsed: binding.ModuleRef) -> None:
    tuning = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(parsed, builder)


def _fingerprint(module: ir.Module) -> str:
    """Of the code, of the processor, and of what compiles."""
    cpu = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    text = "\n".join((llvmlite.__version__, *cpu, str(module)))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _read(path: Path) -> bytes | None:
    """Return the code in a file whose first 32 bytes are its digest; None where there is none, or another."""
    try:
        digest, code = (whole := path.read_bytes())[:32], whole[32:]
    except OSError:
        return None
    return code if hashlib.sha256(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    """Other processes may read and write the same file: it appears whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)
    except OSError:
        return
