from fastnet._core.baseline import *
