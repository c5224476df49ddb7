"""From a decision to a fill, and never twice: the journal of orders, the routing to venues, reconciling with them."""
