"""Reads untrusted weights in a process of its own: `python -m recommender.checkpoints.quarantine IN OUT_FOLDER`.

No class that a file names is ever imported: each becomes an inert placeholder, on top of torch's restricted
unpickler, so that absent modules do not matter and nothing that a pickle says can run. `containment.py`
starts the process and judges what it leaves in OUT_FOLDER: weights.safetensors and facts.json, or refusal.json.
"""
