"""The names of axes in annotations such as ``Float[Tensor, "seeds batch action"]``; each means the same everywhere.

An axis of one name has one length within a call. The tests check that at run time, a user's run never does.

Learning (tensors; the seed axis stands first)::

    seeds                      independent runs that train together
    batch                      transitions, windows or environments of one seed
    observation, action        components of one observation, of one action
    context                    consecutive steps of a window, K in papers
    members                    networks of an ensemble
    inputs, hidden, outputs    units of a layer
    tokens, size, heads        of a transformer: tokens of a sequence, numbers of a token, attention heads
    samples                    actions drawn for one state
    metrics                    numbers that an update reports for each seed

Data (arrays)::

    steps                      steps of all episodes, one after the other
    rows                       observations of all episodes, one more an episode than it has steps
    episodes                   episodes
    bounds                     first steps of all episodes and, at the end, the number of steps: one more than episodes
    transitions                steps that a view can use
    pairs, length              pairs of segments, steps of a segment

Evaluation (arrays)::

    runs, datasets             finished runs, one a seed; what they were trained on
    repetitions                draws of a bootstrap
    sets                       of scores, each with its own interval
    thresholds                 scores at which a profile is taken

``*axes`` stands for any number of axes, ``...`` for any number without a name, ``_`` for one without a name, ``#size``
for one that may also be 1, ``{batch}`` for the value of an argument, "" for none: a single number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# NumPy's own name for it, NDArray, is from 2.5 on no class that jaxtyping could look into.
Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
