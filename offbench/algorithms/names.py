"""The names of algorithms: ours, and those of installed packages. Nothing of them is imported here."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

from offbench.errors import OffbenchError, UnknownNameError

OURS = {
    "awac": "offbench.algorithms.awac:AWAC",
    "bc": "offbench.algorithms.bc:BC",
    "combo": "offbench.algorithms.combo:COMBO",
    "cpl": "offbench.algorithms.cpl:CPL",
    "cql": "offbench.algorithms.cql:CQL",
    "dt": "offbench.algorithms.decision_transformer:DecisionTransformer",
    "edac": "offbench.algorithms.edac:EDAC",
    "ipl": "offbench.algorithms.ipl:IPL",
    "iql": "offbench.algorithms.iql:IQL",
    "mbrcsl": "offbench.algorithms.mbrcsl:MBRCSL",
    "mobile": "offbench.algorithms.mobile:MOBILE",
    "mopo": "offbench.algorithms.mopo:MOPO",
    "oppo": "offbench.algorithms.oppo:OPPO",
    "ravl": "offbench.algorithms.ravl:RAVL",
    "rebrac": "offbench.algorithms.rebrac:ReBRAC",
    "reward_model": "offbench.algorithms.reward_model:RewardModel",
    "rvs": "offbench.algorithms.rvs:RvS",
    "sac_n": "offbench.algorithms.sac_n:SACN",
    "ss_orl": "offbench.algorithms.ss_orl:SSORL",
    "td3_bc": "offbench.algorithms.td3_bc:TD3BC",
    "v_ptr": "offbench.algorithms.v_ptr:VPTR",
    "xql": "offbench.algorithms.xql:XQL",
}
GROUP = "offbench.algorithms"


def names() -> dict[str, str]:
    """Every registered name with the ``module:Class`` behind it."""
    return OURS | {point.name: point.value for point in entry_points(group=GROUP)}


def registered(name: str) -> str:
    """The registered name that is meant, whatever its case and punctuation; ``module:Class`` as it is.

    ``IQL`` and ``TD3+BC`` are found, and so are names of classes, ``DecisionTransformer``.

    Raises:
        UnknownNameError: no algorithm is called so.
        OffbenchError: several names differ from it in nothing but case and punctuation.
    """
    known = names()
    if ":" in name or name in known:
        return name
    meant = _bare(name)
    found = [key for key in known if _bare(key) == meant]
    found = found or [key for key, target in known.items() if _bare(target.rpartition(":")[2]) == meant]
    if not meant or not found:
        raise UnknownNameError("algorithm", name, known, "a class of your own is named as module:Class")
    if len(found) > 1:
        raise OffbenchError(f"the algorithm {name!r} may be {' or '.join(sorted(found))}; write it as one of these")
    return found[0]


def _bare(name: str) -> str:
    """Letters, digits and signs that mean something (%BC is not BC), in lower case."""
    return re.sub(r"[-_+./\s]", "", name).lower()
