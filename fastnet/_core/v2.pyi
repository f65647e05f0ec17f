from fastnet._core.baseline import *  # noqa: F403
