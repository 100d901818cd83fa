"""What is known of a few places, each with the reason why it leaves no gap.

A name here that the code no longer has fails a test; a place that is missing here is refused, or
counted for more work than it concerns, never for less.
"""

# Modules that are not followed.
SETTLED = {
    "code_keys": "what it gives is a key",
    "config.keys": "what it gives is a key, held against keys.yaml",
}
# Calls on import that are not followed.
DISCOVER = {"catalogue:discover": "an entry of a catalogue counts where the recipe names it"}
# Definitions in which an import may be computed.
COMPUTED_IMPORTS = {
    "registry.evidence:module": "of a version's own code: the roots of `register` name the modules",
    "registry.serving.model_code:load_code": "of a version's own code, as above",
    "registry.serving.model_code:HashedCode": "of a version's own code, as above",
}
# Decorators that register nothing; what others decorate counts wherever their module does.
DECORATORS = {"signal.constants:constant": "remembers the results of the function"}
