"""Which fault an exception in a slot stands for. Goes by names, so that no library is imported for it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

MEMORY = "memory"
"""Value of ``outcome["fault"]``: out of memory, of the host or of the GPU."""
DISK = "disk"
"""The disk is full, over its quota or read-only."""
DEVICE = "device"
"""The GPU or its driver gave up; the process can train no more, another one may."""
GONE = "gone"
"""The worker left in good order or cannot be reached; its trial is not to blame."""

FRESH_PROCESS = (MEMORY, DEVICE)
"""Faults after which the process is started anew."""

_DISK = frozenset({errno.ENOSPC, errno.EROFS, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])})
# What TensorFlow and JAX raise; each says in its text what happened.
_DEVICE_ERRORS = frozenset(
    {"ResourceExhaustedError", "InternalError", "UnknownError", "AbortedError", "XlaRuntimeError", "JaxRuntimeError"}
)
_OUT_OF_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|OUT_OF_MEMORY|OOM when allocating|failed to allocate|Cannot allocate memory",
    re.I,
)
_OF_THE_DEVICE = re.compile(
    r"CUDA_ERROR|CUDNN_STATUS|CUBLAS_STATUS|cuda(Error|Get|Mem|Stream)|\bXid\b|NCCL|device lost"
)


def fault_of(error: BaseException) -> str | None:
    """Return the fault that an exception, or what caused it, stands for; None if it is an ordinary error.

    Parameters
    ----------
    error
        As caught; its ``__cause__`` and ``__context__`` are looked at, too.
    """
    for each in _chain(error):
        name = type(each).__name__
        if isinstance(each, OSError) and each.errno in _DISK:
            return DISK
        if isinstance(each, MemoryError) or name == "ResourceExhaustedError":
            return MEMORY
        if isinstance(each, OSError) and each.errno == errno.ENOMEM:
            return MEMORY
        if name in _DEVICE_ERRORS:
            text = str(each)
            if _OUT_OF_MEMORY.search(text):
                return MEMORY
            if _OF_THE_DEVICE.search(text):
                return DEVICE
    return None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an exception stands for a full disk."""
    return fault_of(error) == DISK


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
