"""Options of fill-mask that choose its candidates: filters and the distribution."""
