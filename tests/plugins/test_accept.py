from ffe_core import Action, Opinion
from ffe_core.domain.codec import canonical_json
from ffe_core.plugins.accept import accept


def test_half_a_surrogate_pair_cannot_keep_a_decision_from_being_stored():
    opinion = Opinion("model", "m", Action.BUY, 70, "up \ud83d and away", raw_reply='{"x": "\udc00"}')
    assert canonical_json(accept(Opinion, opinion))
    assert accept(Opinion, opinion).reasoning == "up ? and away"
