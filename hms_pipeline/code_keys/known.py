"""Exceptions from the rules by which code is followed, and why none of them misses anything.

A test fails if a name here is no longer in the code. If an exception is missing here, the code is
refused, or counts for more stages than it concerns; it never counts for fewer.
"""

# The class whose fields count only where they are read.
RECIPE = "config.params:Params"
# Modules that are not followed.
SETTLED = {
    "code_keys": "what it gives is a key",
    "config.keys": "what it gives is a key, held against keys.yaml",
}
# Calls on import that are not followed.
DISCOVER = {"catalogue:discover": "an entry of a catalogue counts where the recipe names it"}
# Definitions that may find code or files, or read annotations, without naming them.
COMPUTED_IMPORTS = {
    "registry.evidence:module": "of a version's own code: the roots of `register` name the modules",
    "registry.serving.model_code:load_code": "of a version's own code, as above",
    "registry.serving.model_code:HashedCode": "of a version's own code, as above",
    "registry.serving.model_code:_forget": "of a version's own code, as above",
    "registry.serving.model_code:check_package": "compares a version's code with what runs",
    "inference.bundle:_code_files": "copies code, and no other file",
    "system.compiler:without_compiler": "stands in for modules of PyTorch alone",
    "config.members:STARTER_FOLDER": "the starter's files count where the recipe names them",
    "config.options:options_of": "annotations of entries and constructors, which count",
    "features.view:View.summary": "a docstring's first line, for `hms views`",
}
# Folders of files that count only where the recipe names them.
NAMED_BY_RECIPE = {"starter": "as `pretrained: starter`"}
# Catalogue → the package of its entries, and the decorator that registers them.
CATALOGUES = {
    "view": ("features.views", "features.view:view"),
    "architecture": ("models", "models.build:MODELS"),
    "augmentation": ("datasets.augmentations", "datasets.augmentations.augmenter:AUGMENTATIONS"),
    "rule": ("validation.rules", "validation.rule:rule"),
    "expectation": ("validation.expectations", "validation.expectation:expect"),
}
# Decorators of the package that hand nothing on; what others decorate counts with its module.
DECORATORS = {
    "signal.constants:constant": "remembers the results of the function",
    **{register: "an entry counts where it is named" for _, register in CATALOGUES.values()},
}
# Decorators that only wrap a method: it runs where its name is used. Others may hand it to a
# framework, which calls it by itself.
WRAPPERS = {
    "property", "setter", "classmethod", "staticmethod", "cached_property", "cache", "lru_cache",
    "contextmanager", "abstractmethod", "no_grad",
}  # fmt: skip
# Methods that Python's own functions call by name: of files, of what closes, and of mappings.
PROTOCOLS = {
    "close", "flush", "items", "keys", "read", "readline", "seek", "tell", "values", "write",
}  # fmt: skip
