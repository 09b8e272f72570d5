"""``make paper``: what the papers' figures become with this code, on the data at hand."""
