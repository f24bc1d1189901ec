"""What watches a slot that is a job: loaded by Dask in its nanny (``--preload-nanny``) and worker (``--preload``)."""

from __future__ import annotations

import signal
import threading
from typing import Any

from distributed import Nanny

from automl_pheno.study.slots import nanny
from automl_pheno.study.slots.worker import own_process


def dask_setup(server: Any) -> None:
    """Make the nanny say of what its worker died, and leave SIGTERM to the nanny.

    A batch system sends that signal to all processes of a job. The nanny says goodbye; a worker that died of it at the
    same moment would look like one that its trial has killed.
    """
    if isinstance(server, Nanny):
        threading.Thread(target=nanny._watch_process, args=(server,), name="process-watch", daemon=True).start()
    else:
        own_process()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
