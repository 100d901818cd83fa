"""params.yaml → frozen, validated models; where the stages' files lie."""

from .params import Params, load_params, parse_params
from .paths import Paths

__all__ = ["Params", "Paths", "load_params", "parse_params"]
