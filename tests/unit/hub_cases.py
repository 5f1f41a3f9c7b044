"""Runs in a process of its own, since the hub's address is read when its library is imported.

Prints what each case gave, as JSON: the number of problems, words or parameters, a licence or
commit, or the error a user would see.
"""

import json
import sys

from reasonmaxxer.config import HubSource, ModelConfig, Source
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.prompts import load_tokenizer
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.modeling.dimensions import Dimensions
from reasonmaxxer.stages.preflight import check_model
from reasonmaxxer.stages.problems import load_problems
from reasonmaxxer.tools.export import base_card
from reasonmaxxer.tools.init import commit_of, source_of


def outcome(case):
    try:
        if "licence" in case:
            return base_card(ModelConfig.model_validate(case["licence"])).get("license")
        if "init" in case:
            return source_of(*case["init"])[0]
        if "commit" in case:
            return commit_of(case["commit"])
        if "weights" in case:
            model = ModelConfig.model_validate(case["weights"])
            return load_base(model.path, model).model.num_parameters()
        if "check" in case:
            return check_model(ModelConfig.model_validate(case["check"]), [], "vllm")[0].model_type
        if "shape" in case:
            shape = Dimensions.of_model(**case["shape"])
            return shape and shape.parameters
        if "model" in case:
            return len(load_tokenizer(ModelConfig.model_validate(case["model"])))
        if "register" in case:
            source = Source.model_validate({"register": case["register"]})
            return len(load_problems([source], "x", case["file"]))
        source = Source(hub=HubSource.model_validate(case["hub"]))
        return len(load_problems([source], "x"))
    except UserError as error:
        return str(error)


print(json.dumps({name: outcome(case) for name, case in json.load(sys.stdin).items()}))
